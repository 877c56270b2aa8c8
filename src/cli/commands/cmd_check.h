// `mach check`: whether a checkpoint runs here.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The checkpoint, its tokenizer or its chat template cannot be used.
inline constexpr int kExitUnreadable = 3;

// 0 fits, 1 tight, 2 will not fit, or kExitUnreadable.
int RunCheck(const CheckCommandOptions& options);

}  // namespace mach::cli
