// A checkpoint whose headers were read and understood; no tensor is.
#pragma once

#include <memory>
#include <string>

#include "io/checkpoint.h"
#include "io/tensor_source.h"
#include "model/config.h"

namespace mach::residency {

// Const after Open. The source refers to the checkpoint.
struct Headers {
  std::unique_ptr<io::Checkpoint> checkpoint;
  model::ModelConfig config;
  io::TensorSource source;

  // Errors name the directory. What the config.json rules out (a drafter, an architecture or a
  // quantization that is not run) is said before a tensor file is opened.
  static Result<Headers> Open(io::FileSystem& fs, const std::string& directory);
};

}  // namespace mach::residency
