// mach eval.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The exit code.
int RunEval(const EvalOptions& options);

}  // namespace mach::cli
