// The tensors of a synthetic checkpoint: names, shapes and what fills them.
#pragma once

#include <string>
#include <vector>

#include "io/safetensors_writer.h"
#include "json/value.h"
#include "model/config.h"
#include "model/synth/noise.h"

namespace mach::model {

struct SynthTensor {
  io::TensorSpec spec;
  Noise noise;
  std::string stream;  // the name that chooses its noise
};

struct SynthLayout {
  std::vector<SynthTensor> tensors;  // in file order
  json::Object quantization;         // of config.json; empty when dense
};

inline constexpr size_t kSynthGroup = 64;

// bits 16: BF16 in the published layout (experts stacked in qwen3_5_moe, one by one in qwen3_moe).
// bits 4 or 8: MLX's layout, affine in groups of 64; router, gate of the shared expert, embedding
// and head have 8 bits and are listed in `quantization` where that is not the default.
//
// Weights are uniform around 0 with a deviation of 1/sqrt(columns), so that products of normed
// vectors are about 1; routers have twice that, so that they choose clearly; and embeddings 1, so
// that neighbouring tokens stay unlike each other beside what attention adds to all of them.
//
// kInvalidArgument for columns that groups do not divide, and for more experts than anyone wants.
Result<SynthLayout> ListSynthTensors(const ModelConfig& config, int bits);

}  // namespace mach::model
