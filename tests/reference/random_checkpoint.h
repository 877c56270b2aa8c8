// Small checkpoints of seeded random weights in every layout that is read, for tests.
//
// The weights of a spec are logical: a matrix is a pure function of seed, module, shape and grid,
// whatever the layout, prefix, type and number of files. So the same model can be written in many
// ways and must give the same outputs: exactly in F32, and nearly in BF16 and F16, where dense
// weights are rounded. They are scaled so that every linear map of a normed vector has values about
// 1, and so that routers choose clearly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "base/result.h"
#include "reference/reference_config.h"
#include "tensor/dtype.h"

namespace mach::reference {

enum class Layout {
  kHfPerExpert,  // experts.E.gate_proj.weight ...
  kHfStacked,    // experts.gate_up_proj [E, 2I, H] and experts.down_proj [E, H, I]
  kMlxDense,     // switch_mlp, transposed convolution, norms of qwen3_5_moe as factors
  kMlxAffine,    // the same with packed weights, scales and biases
};

enum class Prefix {
  kModel,    // model.layers...., lm_head
  kBare,     // layers...., lm_head
  kWrapper,  // config in text_config; HF: model.language_model.layers...., lm_head;
             // MLX: language_model.model.layers...., language_model.lm_head
};

enum class RopeSpelling {
  kParameters,         // rope_parameters
  kOldKeys,            // rope_theta, partial_rotary_factor and rope_scaling null
  kParametersOverOld,  // rope_parameters beside old keys with other values, which must not count
};

// Matrix values are scale * q + bias with q of so many bits and one scale and bias a group of
// columns, all exact in float32 and their scales exact in BF16 and F16. bits 0: any float32 values.
struct Grid {
  unsigned bits = 0;
  size_t group = 32;
};

struct CheckpointSpec {
  std::string_view name = "";
  Family family = Family::kQwen3Moe;
  Layout layout = Layout::kHfPerExpert;
  Prefix prefix = Prefix::kModel;
  // Of dense tensors and of scales. A_log is F32 always.
  tensor::DType dtype = tensor::DType::kF32;
  uint64_t seed = 1;
  size_t shards = 1;  // more than one: numbered files and an index

  size_t vocab = 96;
  size_t hidden = 64;
  size_t layers = 4;
  size_t heads = 4;
  size_t kv_heads = 2;
  size_t head_dim = 16;
  size_t experts = 8;
  size_t top_k = 2;
  size_t expert_width = 32;
  size_t dense_width = 96;   // qwen3_moe
  size_t shared_width = 32;  // qwen3_5_moe, as the six below
  size_t key_heads = 2;
  size_t value_heads = 4;
  size_t key_dim = 16;
  size_t value_dim = 16;
  size_t conv_kernel = 4;
  size_t attention_interval = 2;  // every so manieth layer has full attention
  double partial_rotary = 0.5;
  double rope_theta = 10000;

  uint64_t mlp_only_layers = 0;  // qwen3_moe: bit i is layer i
  size_t sparse_step = 1;        // qwen3_moe
  bool norm_topk = true;         // qwen3_moe
  bool tied_head = false;
  bool attention_bias = false;
  bool layer_types = true;     // qwen3_5_moe: written; else only full_attention_interval
  bool local_experts = false;  // num_local_experts in place of num_experts
  RopeSpelling rope = RopeSpelling::kParameters;
  bool negative_scales = false;  // about half of them
  bool foreign_tensors = false;  // of a vision tower and, in HF layouts, a multi-token head

  // kMlxAffine stores what has bits as it is and lists what departs from `grid` in the config; it
  // REQUIRES grid.bits of 4 or 8. Every layout REQUIRES columns that are multiples of the group.
  Grid grid = {8, 32};
  std::optional<Grid> router_grid;     // of routers and shared expert gates
  std::optional<Grid> embedding_grid;  // of embedding and head
};

// For GoogleTest, which else shows bytes.
inline void PrintTo(const CheckpointSpec& spec, std::ostream* out) { *out << spec.name; }

// Writes config.json and the weights into an existing directory.
Status WriteRandomCheckpoint(const CheckpointSpec& spec, const std::string& directory);

}  // namespace mach::reference
