// `mach synth`: checkpoints of seeded random weights.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

int RunSynth(const SynthCommandOptions& options);

}  // namespace mach::cli
