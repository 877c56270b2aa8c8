#include "model/synth/tensors.h"

#include <cmath>

#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"
#include "tensor/dtype.h"

namespace mach::model {
namespace {

using tensor::DType;
using Kind = Noise::Kind;

constexpr int kDense = 16;
constexpr int kGateBits = 8;  // mlx-lm's own rule for routers; its usual choice for embeddings
constexpr size_t kMostExperts = size_t{1} << 18;  // of all layers; bounds the list

// Norm factors spread around 1 by this.
constexpr double kNormDeviation = 0.05;
constexpr double kRouterGain = 2;

double Init(size_t cols) { return 1 / std::sqrt(static_cast<double>(cols)); }

class Lister {
 public:
  Lister(const ModelConfig& config, int bits)
      : config_(config), bits_(bits), wrapped_(config.centered_norms) {
    if (wrapped_) {
      prefix_ = dense() ? "model.language_model." : "language_model.model.";
      head_ = dense() ? "lm_head" : "language_model.lm_head";
    }
    if (dense()) return;
    out_.quantization =
        json::Object{{"group_size", uint64_t{kSynthGroup}}, {"bits", bits}, {"mode", "affine"}};
  }

  Result<SynthLayout> List() {
    Module(prefix_ + "embed_tokens", {config_.vocab}, config_.hidden, 1, kGateBits);
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      const std::string layer = prefix_ + "layers." + std::to_string(i) + ".";
      const LayerConfig& l = config_.layers[i];
      Norm(layer + "input_layernorm", config_.hidden, wrapped_);
      Norm(layer + "post_attention_layernorm", config_.hidden, wrapped_);
      std::visit([&](const auto& shape) { Mixer(layer, shape); }, l.mixer);
      if (const auto* moe = std::get_if<ops::MoeShape>(&l.ffn)) Moe(layer + "mlp.", *moe);
    }
    Norm(prefix_ + "norm", config_.hidden, wrapped_);
    Module(head_, {config_.vocab}, config_.hidden, Init(config_.hidden), kGateBits);
    MACH_RETURN_IF_ERROR(status_);
    return std::move(out_);
  }

 private:
  bool dense() const { return bits_ == kDense; }

  // stream: the name itself unless given.
  void Add(const std::string& name, DType dtype, std::vector<uint64_t> shape, const Noise& noise,
           const std::string& stream = "") {
    out_.tensors.push_back(
        {{name, dtype, std::move(shape)}, noise, stream.empty() ? name : stream});
  }

  // MODULE.weight [rows.., cols], and .scales and .biases when quantized.
  void Module(const std::string& module, std::vector<uint64_t> rows, size_t cols, double deviation,
              int bits) {
    const auto shape = [&](uint64_t last) {
      std::vector<uint64_t> whole = rows;
      whole.push_back(last);
      return whole;
    };
    if (dense()) {
      return Add(module + ".weight", DType::kBF16, shape(cols), {.deviation = deviation});
    }
    if (cols % kSynthGroup != 0 && status_.ok()) {
      status_ = Error{Code::kInvalidArgument,
                      "'" + module + "' would have " + std::to_string(cols) +
                          " columns, but 4 and 8 bit weights have groups of " +
                          std::to_string(kSynthGroup) +
                          "; choose sizes that it divides (--hidden, --width, --shared-width, "
                          "heads times their dimension), or --bits 16"};
    }
    if (bits != bits_) {
      out_.quantization.Append(module,
                               json::Object{{"group_size", uint64_t{kSynthGroup}}, {"bits", bits}});
    }
    const auto count = static_cast<uint64_t>(bits);
    Add(module + ".weight", DType::kU32, shape(cols * count / 32), {.kind = Kind::kCodes});
    const std::string groups = module + ".scales";
    Add(groups, DType::kBF16, shape(cols / kSynthGroup),
        {.kind = Kind::kScales, .deviation = deviation, .bits = bits});
    Add(module + ".biases", DType::kBF16, shape(cols / kSynthGroup),
        {.kind = Kind::kBiases, .deviation = deviation, .bits = bits}, groups);
  }
  void Linear(const std::string& module, size_t rows, size_t cols) {
    Module(module, {rows}, cols, Init(cols), bits_);
  }

  // centered: the family stores factors less 1 in its published layout.
  void Norm(const std::string& name, size_t size, bool centered) {
    Add(name + ".weight", DType::kBF16, {size},
        {.mean = centered && dense() ? 0.0 : 1.0, .deviation = kNormDeviation});
  }

  void Mixer(const std::string& layer, const ops::AttentionShape& s) {
    const std::string at = layer + "self_attn.";
    const size_t q = s.heads * s.head_dim;
    const size_t kv = s.kv_heads * s.head_dim;
    Linear(at + "q_proj", s.gated ? 2 * q : q, s.hidden);
    Linear(at + "k_proj", kv, s.hidden);
    Linear(at + "v_proj", kv, s.hidden);
    Linear(at + "o_proj", s.hidden, q);
    Norm(at + "q_norm", s.head_dim, wrapped_);
    Norm(at + "k_norm", s.head_dim, wrapped_);
  }

  void Mixer(const std::string& layer, const ops::DeltaNetShape& s) {
    const std::string at = layer + "linear_attn.";
    Linear(at + "in_proj_qkv", s.conv_channels(), s.hidden);
    Linear(at + "in_proj_z", s.value_width(), s.hidden);
    Linear(at + "in_proj_a", s.value_heads, s.hidden);
    Linear(at + "in_proj_b", s.value_heads, s.hidden);
    Linear(at + "out_proj", s.hidden, s.value_width());
    const std::vector<uint64_t> published = {s.conv_channels(), 1, s.conv_taps};
    const std::vector<uint64_t> mlx = {s.conv_channels(), s.conv_taps, 1};
    Add(at + "conv1d.weight", DType::kBF16, dense() ? published : mlx,
        {.deviation = Init(s.conv_taps)});
    Add(at + "A_log", DType::kF32, {s.value_heads}, {.kind = Kind::kDecay});
    Add(at + "dt_bias", DType::kBF16, {s.value_heads}, {.kind = Kind::kTimeStep});
    Norm(at + "norm", s.value_dim, false);
  }

  void SwiGlu(const std::string& at, size_t width) {
    Linear(at + "gate_proj", width, config_.hidden);
    Linear(at + "up_proj", width, config_.hidden);
    Linear(at + "down_proj", config_.hidden, width);
  }

  void Moe(const std::string& at, const ops::MoeShape& s) {
    experts_ += s.experts;
    if (experts_ > kMostExperts) {
      if (status_.ok()) {
        status_ = Error{Code::kInvalidArgument,
                        "more than " + std::to_string(kMostExperts) +
                            " experts in all layers; lower --experts or --layers"};
      }
      return;
    }
    Module(at + "gate", {s.experts}, s.hidden, kRouterGain * Init(s.hidden), kGateBits);
    Experts(at, s);
    if (s.shared_width == 0) return;
    SwiGlu(at + "shared_expert.", s.shared_width);
    Module(at + "shared_expert_gate", {1}, s.hidden, Init(s.hidden), kGateBits);
  }

  void Experts(const std::string& at, const ops::MoeShape& s) {
    if (!dense()) {
      const std::string mlx = at + "switch_mlp.";
      Module(mlx + "gate_proj", {s.experts, s.width}, s.hidden, Init(s.hidden), bits_);
      Module(mlx + "up_proj", {s.experts, s.width}, s.hidden, Init(s.hidden), bits_);
      Module(mlx + "down_proj", {s.experts, s.hidden}, s.width, Init(s.width), bits_);
      return;
    }
    if (wrapped_) {
      Add(at + "experts.gate_up_proj", DType::kBF16, {s.experts, 2 * s.width, s.hidden},
          {.deviation = Init(s.hidden)});
      Add(at + "experts.down_proj", DType::kBF16, {s.experts, s.hidden, s.width},
          {.deviation = Init(s.width)});
      return;
    }
    for (size_t e = 0; e < s.experts; ++e) {
      SwiGlu(at + "experts." + std::to_string(e) + ".", s.width);
    }
  }

  const ModelConfig& config_;
  const int bits_;
  const bool wrapped_;  // qwen3_5_moe
  std::string prefix_ = "model.";
  std::string head_ = "lm_head";
  size_t experts_ = 0;
  Status status_ = Ok();
  SynthLayout out_;
};

}  // namespace

Result<SynthLayout> ListSynthTensors(const ModelConfig& config, int bits) {
  return Lister(config, bits).List();
}

}  // namespace mach::model
