// A checkpoint's tensors under canonical names, whatever layout it has.
//
// Canonical names have no prefix: "embed_tokens", "norm", "lm_head", "layers.3.self_attn.q_proj",
// "layers.3.mlp.gate". Hidden here: the prefixes of wrappers ("model.", "language_model.",
// "model.language_model.", "language_model.model."), stacked, fused and per-expert experts, MLX's
// packed modules and its per-module overrides, norms with the one already added, the axes of
// conv1d.
//
// Nothing here trusts the sizes of the config or the files: a slice is given only when the tensor
// has exactly the expected shape, so that it always lies within its file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "io/checkpoint.h"
#include "tensor/dtype.h"

namespace mach::io {

// One matrix [rows, cols] as the file holds it: dense of `type`, or MLX affine with scales of
// `type`.
struct MatrixSource {
  std::string name;  // as in the file, for messages
  uint64_t rows = 0;
  uint64_t cols = 0;
  tensor::DType type = tensor::DType::kF32;  // f32, bf16 or f16
  int bits = 0;                              // 0: dense; 4 or 8: affine
  int group = 0;
  Slice weight = {};
  Slice scales = {};  // affine only
  Slice biases = {};  // affine only
};

struct ExpertSource {
  MatrixSource gate;
  MatrixSource up;
  MatrixSource down;
};

class TensorSource {
 public:
  // kHf: the published layout. kMlx: mlx-lm's, in which the norms of qwen3_5_moe have the one
  // already added. conv1d weights decide, where there are any ([channels, 1, taps] is kHf,
  // [channels, taps, 1] kMlx, and both in one checkpoint an error); else "switch_mlp" or packed
  // modules mean kMlx.
  enum class Layout : uint8_t { kHf, kMlx };

  // Finds the prefix and the layout and reads "quantization" (or "quantization_config") of the
  // config. The checkpoint must outlive it. Thread-safe from then on.
  static Result<TensorSource> Create(const Checkpoint& checkpoint);

  Layout layout() const { return layout_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

  // Whether the module or tensor (canonical, without ".weight") exists. A model with tied
  // embeddings has no "lm_head", a drafter no "embed_tokens".
  bool Has(std::string_view name) const;

  // A Linear or Embedding [rows, cols] as expected; any other shape, dtype, packing or group is an
  // error that names the tensor, what was found and what was expected. kUnsupported for formats
  // that Mach does not read (F8, other MLX modes, bits and groups), kCorrupt for what does not fit
  // together, kInvalidArgument for a size of 0 or beyond 2^31.
  Result<MatrixSource> Matrix(std::string_view module, uint64_t rows, uint64_t cols) const;

  // gate and up [width, hidden], down [hidden, width] of one expert of `mlp` ("layers.3.mlp"):
  // from experts.gate_up_proj [experts, 2 * width, hidden] (gate rows first) and experts.down_proj
  // [experts, hidden, width], from switch_mlp.X or experts.X stacked alike for each part, or from
  // experts.N.X. Each may be affine. REQUIRES: expert < experts.
  Result<ExpertSource> Expert(std::string_view mlp, ExpertId expert, uint64_t experts,
                              uint64_t hidden, uint64_t width) const;

  // A small dense tensor as float32: "layers.0.linear_attn.A_log", or "X.weight" when there is no
  // "X". elements: the expected number.
  Result<std::vector<float>> Vector(std::string_view name, uint64_t elements) const;

  // The factor of a norm: w, or 1 + w where `centered` (the family stores w - 1 in the HF layout)
  // and this checkpoint has the HF layout.
  Result<std::vector<float>> Norm(std::string_view name, uint64_t elements, bool centered) const;

  // Depthwise causal convolution weights [taps, channels] (kernel position major) of "X.weight",
  // stored as [channels, 1, taps] (HF) or [channels, taps, 1] (MLX).
  Result<std::vector<float>> Conv(std::string_view module, uint64_t channels, uint64_t taps) const;

  // Fail where Vector and Norm, or Conv, would for what the headers say; nothing is read.
  Status CheckVector(std::string_view name, uint64_t elements) const;
  Status CheckConv(std::string_view module, uint64_t channels, uint64_t taps) const;

 private:
  struct Stack;
  struct Scheme {
    bool quantized = true;
    int64_t bits = 0;
    int64_t group = 0;
    std::string mode = "affine";
  };

  explicit TensorSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}
  void FindPrefix();
  Status FindLayout();
  Status ReadQuantization();

  std::string FileName(std::string_view canonical) const;
  const Scheme* SchemeOf(std::string_view module) const;
  Result<MatrixSource> Bind(const std::string& module, const Stack& stack) const;
  Status BindAffine(const std::string& module, const CheckpointTensor& weight, const Stack& stack,
                    MatrixSource& out) const;
  Result<const CheckpointTensor*> SmallTensor(std::string_view name, std::string& found) const;
  Result<const CheckpointTensor*> VectorTensor(std::string_view name, uint64_t elements,
                                               std::string& found) const;
  Result<const CheckpointTensor*> ConvTensor(std::string_view module, uint64_t channels,
                                             uint64_t taps, std::string& found) const;
  Result<std::vector<float>> ReadFloats(const std::string& name,
                                        const CheckpointTensor& tensor) const;

  const Checkpoint* checkpoint_;
  Layout layout_ = Layout::kHf;
  std::string prefix_;  // before "layers.", "embed_tokens", "norm"
  std::string head_;    // the whole module name of "lm_head"
  // "quantization" of config.json: what holds for every module, and exceptions by the file's names.
  std::optional<Scheme> scheme_;
  NameMap<Scheme> exceptions_;
};

}  // namespace mach::io
