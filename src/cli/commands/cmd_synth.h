// `mach synth`: checkpoints of seeded random weights.
#pragma once

#include <optional>
#include <string>

#include "cli/options/command_line.h"
#include "model/synth/synth.h"

namespace mach::cli {

struct SynthCommandOptions {
  model::SynthOptions synth;  // without files
  std::string tokenizer;      // directory; empty: none
  std::string unused;         // "--NAME" of a size that the family does not have; empty: none
};

SynthCommandOptions SynthOptionsFrom(const Values& values);

int RunSynth(const SynthCommandOptions& options);

}  // namespace mach::cli
