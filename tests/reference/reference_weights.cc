#include "reference/reference_weights.h"

namespace mach::reference {
namespace {

Error Wrong(const std::string& name, const std::string& what) {
  return {Code::kCorrupt, "reference: " + name + ": " + what};
}

class Loader {
 public:
  Loader(CheckpointTensors& tensors, const Config& config) : tensors_(tensors), config_(config) {}

  Result<ModelWeights> Load() {
    MACH_TRY(prefix_, FindPrefix());
    MACH_RETURN_IF_ERROR(FindNormOffset());
    ModelWeights w;
    MACH_TRY(w.embedding, Weight(prefix_ + "embed_tokens", config_.vocab, config_.hidden));
    MACH_TRY(w.final_norm, Norm(prefix_ + "norm", config_.hidden));
    MACH_TRY(w.head, Head(w.embedding));
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      MACH_TRY(LayerWeights layer, Layer(i));
      w.layers.push_back(std::move(layer));
    }
    return w;
  }

 private:
  bool HasModule(const std::string& module) const { return tensors_.Has(module + ".weight"); }

  Result<std::string> FindPrefix() const {
    for (const char* prefix :
         {"", "model.", "language_model.", "model.language_model.", "language_model.model."}) {
      if (HasModule(std::string(prefix) + "embed_tokens")) return std::string(prefix);
    }
    return Error{Code::kNotFound, "reference: no embed_tokens.weight under any known prefix"};
  }

  // qwen3_5_moe of Hugging Face stores norms less 1. Its mark is a convolution [channels, 1,
  // kernel]; MLX has [channels, kernel, 1].
  Status FindNormOffset() {
    if (config_.family != Family::kQwen3_5Moe) return Ok();
    offset_ = tensors_.Has(LayerPrefix(0) + "mlp.switch_mlp.gate_proj.weight") ? 0 : 1;
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      if (config_.layers[i].full_attention) continue;
      MACH_TRY(const auto conv, tensors_.Stored(LayerPrefix(i) + "linear_attn.conv1d.weight"));
      offset_ = conv->shape.back() != 1 ? 1 : 0;
      break;
    }
    return Ok();
  }

  std::string LayerPrefix(size_t i) const { return prefix_ + "layers." + std::to_string(i) + "."; }

  Result<std::vector<double>> Vector(const std::string& name, size_t size) {
    MACH_TRY(std::vector<double> values, tensors_.Values(name));
    if (values.size() != size) return Wrong(name, "size");
    return values;
  }

  Result<std::vector<double>> Norm(const std::string& module, size_t size) {
    MACH_TRY(std::vector<double> values, Vector(module + ".weight", size));
    for (double& v : values) v += offset_;
    return values;
  }

  Result<Matrix> Weight(const std::string& module, size_t rows, size_t cols) {
    MACH_TRY(Matrix m, tensors_.Weight(module));
    if (m.rows() != rows || m.cols() != cols) return Wrong(module, "shape");
    return m;
  }

  Result<Linear> WithBias(const std::string& module, size_t rows, size_t cols) {
    Linear linear;
    MACH_TRY(linear.weight, Weight(module, rows, cols));
    if (config_.attention_bias) {
      MACH_TRY(linear.bias, Vector(module + ".bias", rows));
    }
    return linear;
  }

  Result<Matrix> Head(const Matrix& embedding) {
    if (config_.tied_head) return embedding;
    for (const char* prefix : {"", "model.", "language_model.", "model.language_model."}) {
      const std::string module = std::string(prefix) + "lm_head";
      if (HasModule(module)) return Weight(module, config_.vocab, config_.hidden);
    }
    return embedding;
  }

  Result<Mlp> SwiGlu(const std::string& prefix) {
    Mlp mlp;
    MACH_TRY(mlp.gate, tensors_.Weight(prefix + "gate_proj"));
    const size_t width = mlp.gate.rows();
    if (mlp.gate.cols() != config_.hidden) return Wrong(prefix + "gate_proj", "shape");
    MACH_TRY(mlp.up, Weight(prefix + "up_proj", width, config_.hidden));
    MACH_TRY(mlp.down, Weight(prefix + "down_proj", config_.hidden, width));
    return mlp;
  }

  // Experts in any of the three layouts.
  Result<std::vector<Mlp>> Experts(const std::string& prefix) {
    const size_t count = config_.experts;
    std::vector<Mlp> experts(count);
    if (HasModule(prefix + "experts.0.gate_proj")) {
      for (size_t e = 0; e < count; ++e) {
        MACH_TRY(experts[e], SwiGlu(prefix + "experts." + std::to_string(e) + "."));
      }
      return experts;
    }
    const bool fused = tensors_.Has(prefix + "experts.gate_up_proj");
    Matrix gate, up, down;
    if (fused) {
      MACH_TRY(gate, tensors_.Plain(prefix + "experts.gate_up_proj"));
      MACH_TRY(down, tensors_.Plain(prefix + "experts.down_proj"));
    } else {
      MACH_TRY(gate, tensors_.Weight(prefix + "switch_mlp.gate_proj"));
      MACH_TRY(up, tensors_.Weight(prefix + "switch_mlp.up_proj"));
      MACH_TRY(down, tensors_.Weight(prefix + "switch_mlp.down_proj"));
    }
    const size_t width = down.cols();
    const size_t gate_rows = fused ? 2 * width : width;
    if (gate.rows() != count * gate_rows || gate.cols() != config_.hidden ||
        down.rows() != count * config_.hidden ||
        (!fused && (up.rows() != gate.rows() || up.cols() != gate.cols()))) {
      return Wrong(prefix, "shapes of the experts");
    }
    for (size_t e = 0; e < count; ++e) {
      experts[e].gate = gate.Rows(e * gate_rows, width);
      experts[e].up = fused ? gate.Rows(e * gate_rows + width, width) : up.Rows(e * width, width);
      experts[e].down = down.Rows(e * config_.hidden, config_.hidden);
    }
    return experts;
  }

  Result<MoeWeights> Moe(const std::string& prefix) {
    MoeWeights moe;
    MACH_TRY(moe.router, Weight(prefix + "gate", config_.experts, config_.hidden));
    MACH_TRY(moe.experts, Experts(prefix));
    if (config_.family == Family::kQwen3_5Moe) {
      MACH_TRY(moe.shared, SwiGlu(prefix + "shared_expert."));
      MACH_TRY(moe.shared_gate, Weight(prefix + "shared_expert_gate", 1, config_.hidden));
    }
    return moe;
  }

  Result<AttentionWeights> Attention(const std::string& prefix) {
    const size_t query = config_.heads * config_.head_dim;
    const size_t key = config_.kv_heads * config_.head_dim;
    const bool gated = config_.family == Family::kQwen3_5Moe;
    AttentionWeights a;
    MACH_TRY(a.q, WithBias(prefix + "q_proj", gated ? 2 * query : query, config_.hidden));
    MACH_TRY(a.k, WithBias(prefix + "k_proj", key, config_.hidden));
    MACH_TRY(a.v, WithBias(prefix + "v_proj", key, config_.hidden));
    MACH_TRY(a.o, WithBias(prefix + "o_proj", config_.hidden, query));
    MACH_TRY(a.q_norm, Norm(prefix + "q_norm", config_.head_dim));
    MACH_TRY(a.k_norm, Norm(prefix + "k_norm", config_.head_dim));
    return a;
  }

  Result<DeltaNetWeights> DeltaNet(const std::string& prefix) {
    const size_t value = config_.value_heads * config_.value_dim;
    const size_t channels = 2 * config_.key_heads * config_.key_dim + value;
    DeltaNetWeights d;
    MACH_TRY(d.qkv, Weight(prefix + "in_proj_qkv", channels, config_.hidden));
    MACH_TRY(d.z, Weight(prefix + "in_proj_z", value, config_.hidden));
    MACH_TRY(d.b, Weight(prefix + "in_proj_b", config_.value_heads, config_.hidden));
    MACH_TRY(d.a, Weight(prefix + "in_proj_a", config_.value_heads, config_.hidden));
    MACH_TRY(d.out, Weight(prefix + "out_proj", config_.hidden, value));
    MACH_TRY(d.conv, Vector(prefix + "conv1d.weight", channels * config_.conv_kernel));
    MACH_TRY(d.dt_bias, Vector(prefix + "dt_bias", config_.value_heads));
    MACH_TRY(d.a_log, Vector(prefix + "A_log", config_.value_heads));
    // The one norm that is stored as a factor by everyone.
    MACH_TRY(d.norm, Vector(prefix + "norm.weight", config_.value_dim));
    return d;
  }

  Result<LayerWeights> Layer(size_t i) {
    const std::string prefix = LayerPrefix(i);
    LayerWeights layer;
    MACH_TRY(layer.input_norm, Norm(prefix + "input_layernorm", config_.hidden));
    MACH_TRY(layer.post_norm, Norm(prefix + "post_attention_layernorm", config_.hidden));
    if (config_.layers[i].full_attention) {
      MACH_TRY(layer.attention, Attention(prefix + "self_attn."));
    } else {
      MACH_TRY(layer.delta_net, DeltaNet(prefix + "linear_attn."));
    }
    if (config_.layers[i].sparse) {
      MACH_TRY(layer.moe, Moe(prefix + "mlp."));
    } else {
      MACH_TRY(layer.dense, SwiGlu(prefix + "mlp."));
    }
    return layer;
  }

  CheckpointTensors& tensors_;
  const Config& config_;
  std::string prefix_;
  double offset_ = 0;  // what is added to stored norm weights
};

}  // namespace

Result<ModelWeights> LoadWeights(CheckpointTensors& tensors, const Config& config) {
  return Loader(tensors, config).Load();
}

}  // namespace mach::reference
