// Synthetic checkpoints: seeded random weights of any size in a published layout, for benchmarks at
// real shapes without a download.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/synth/shape.h"
#include "model/weights.h"

namespace mach::model {

struct SynthFile {
  std::string name;  // "tokenizer.json"
  std::string text;
};

struct SynthOptions {
  std::string output;  // a new or empty directory
  SynthShape shape;
  int bits = 4;  // 4 or 8: MLX affine; 16: BF16 in the published layout
  uint64_t seed = 0;
  uint64_t shard_bytes = uint64_t{4} << 30;  // of a file, or one tensor where that is larger
  std::vector<SynthFile> files;              // written beside the weights
};

struct SynthSummary {
  uint64_t tensor_bytes = 0;
  size_t tensors = 0;
  size_t shards = 0;
};

// Writes config.json, generation_config.json, shards with their index, and `files`. A tensor
// depends on seed, name and shape alone. Everything is written beside `output` and renamed at the
// end; an error, a full disk or progress that returns false leave nothing behind.
// kInvalidArgument or kUnsupported for sizes of which no model can be made, kIo when the disk has
// too little room, both before anything is written. Holds one MiB of weights at a time.
Result<SynthSummary> WriteSynthetic(const SynthOptions& options, const LoadProgress& progress);

}  // namespace mach::model
