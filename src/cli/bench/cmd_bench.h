// `mach bench`: what this machine gives, and how close Mach comes to it.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

int RunBenchDisk(const BenchDiskOptions& options);
int RunBenchStreaming(const BenchStreamingOptions& options);
int RunBenchTrace(const BenchTraceOptions& options);
int RunBenchMatmul(const BenchMatmulOptions& options);

}  // namespace mach::cli
