// mach generate.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The exit code.
int RunGenerate(const GenerateOptions& options);

}  // namespace mach::cli
