// mach archs.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The exit code.
int RunArchs(const ArchsOptions& options);

}  // namespace mach::cli
