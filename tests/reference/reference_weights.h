// The weights of a checkpoint under one set of names, for the reference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reference/checkpoint_tensors.h"
#include "reference/reference_config.h"

namespace mach::reference {

struct Linear {
  Matrix weight;             // [out, in]
  std::vector<double> bias;  // [out], or empty
};

struct Mlp {
  Matrix gate, up, down;
};

struct AttentionWeights {
  Linear q, k, v, o;  // qwen3_5_moe: q has 2 * head_dim rows per head, query then gate
  std::vector<double> q_norm, k_norm;
};

struct DeltaNetWeights {
  Matrix qkv, z, b, a, out;
  std::vector<double> conv;  // [channels, kernel]
  std::vector<double> dt_bias, a_log;
  std::vector<double> norm;
};

struct MoeWeights {
  Matrix router;
  std::vector<Mlp> experts;
  std::optional<Mlp> shared;
  std::optional<Matrix> shared_gate;
};

struct LayerWeights {
  std::vector<double> input_norm, post_norm;
  std::optional<AttentionWeights> attention;
  std::optional<DeltaNetWeights> delta_net;
  std::optional<MoeWeights> moe;
  std::optional<Mlp> dense;
};

// Norm weights are factors here: where a checkpoint stores them less 1, the 1 is added.
struct ModelWeights {
  Matrix embedding, head;
  std::vector<double> final_norm;
  std::vector<LayerWeights> layers;
};

Result<ModelWeights> LoadWeights(CheckpointTensors& tensors, const Config& config);

}  // namespace mach::reference
