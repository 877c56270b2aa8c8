// `mach selftest`: whether the fast paths of this build work on this machine.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// 0 when vector kernels and direct reads work, else 1.
int RunSelftest(const SelftestOptions& options);

}  // namespace mach::cli
