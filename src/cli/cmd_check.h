// `mach check`: whether a checkpoint runs here.
#pragma once

#include "cli/options.h"

namespace mach::cli {

inline constexpr int kExitUnreadable = 3;  // no verdict: the checkpoint cannot be read

// 0 fits, 1 tight, 2 will not fit, or kExitUnreadable.
int RunCheck(const CheckCommandOptions& options);

}  // namespace mach::cli
