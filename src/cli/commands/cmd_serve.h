// mach serve.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The exit code.
int RunServe(const ServeOptions& options);

}  // namespace mach::cli
