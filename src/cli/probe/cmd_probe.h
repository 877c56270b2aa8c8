// mach probe.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

// The exit code: failure when a check failed or the server could not be reached.
int RunProbeCommand(const ProbeCommandOptions& options);

}  // namespace mach::cli
