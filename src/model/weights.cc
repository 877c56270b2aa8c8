#include "model/weights.h"

#include <cstring>
#include <string>

#include "base/check.h"
#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"
#include "quant/tiled.h"

namespace mach::model {
namespace {

std::string LayerName(size_t layer, std::string_view name) {
  return "layers." + std::to_string(layer) + "." + std::string(name);
}

}  // namespace

// Visits every tensor of a model twice: first to learn what it takes, then, with memory, to read
// it. The same code says what there is both times, so the two cannot disagree.
class Weights::Loader {
 public:
  Loader(const ModelConfig& config, const io::TensorSource& source,
         const ops::ExpertLayout& experts, const LoadProgress& progress)
      : config_(config),
        source_(source),
        experts_(experts),
        reader_(source.checkpoint()),
        progress_(progress) {}

  Status Measure(Weights& out) { return Visit(out); }
  size_t bytes() const { return placer_.bytes(); }

  Status Read(Weights& out) {
    total_ = placer_.bytes();
    placer_.Begin(out.memory_.data());
    return Visit(out);
  }

 private:
  Status Matrix(std::string_view name, size_t rows, size_t cols, quant::TiledMatrix& out) {
    MACH_TRY(const io::MatrixSource from, source_.Matrix(name, rows, cols));
    out.layout = MatrixReader::LayoutOf(from);
    if (Status valid = quant::ValidateLayout(out.layout); !valid) {
      return std::move(valid).error().In(from.name);
    }
    const size_t before = placer_.bytes();
    std::byte* to = placer_.Place(out.layout.bytes());
    out.data = to;
    if (to == nullptr) return Ok();
    return reader_.Read(from, to, [&](uint64_t packed) {
      return !progress_ || progress_(before + packed, total_);
    });
  }

  template <class Check, class Read>
  Status Floats(size_t elements, const float*& out, Check check, Read read) {
    std::byte* to = placer_.Place(elements * sizeof(float));
    out = reinterpret_cast<const float*>(to);
    if (to == nullptr) return check();
    MACH_TRY(const std::vector<float> values, read());
    MACH_CHECK(values.size() == elements);
    std::memcpy(to, values.data(), elements * sizeof(float));
    return Ok();
  }
  Status Norm(const std::string& name, size_t elements, bool centered, const float*& out) {
    return Floats(
        elements, out, [&] { return source_.CheckVector(name, elements); },
        [&] { return source_.Norm(name, elements, centered); });
  }
  Status Vector(const std::string& name, size_t elements, const float*& out) {
    return Floats(
        elements, out, [&] { return source_.CheckVector(name, elements); },
        [&] { return source_.Vector(name, elements); });
  }

  Status Mixer(size_t i, const ops::AttentionShape& s, LayerWeights& w) {
    const std::string at = LayerName(i, "self_attn.");
    const size_t q = s.heads * s.head_dim;
    const size_t kv = s.kv_heads * s.head_dim;
    MACH_RETURN_IF_ERROR(Matrix(at + "q_proj", s.gated ? 2 * q : q, s.hidden, w.attention.q));
    MACH_RETURN_IF_ERROR(Matrix(at + "k_proj", kv, s.hidden, w.attention.k));
    MACH_RETURN_IF_ERROR(Matrix(at + "v_proj", kv, s.hidden, w.attention.v));
    MACH_RETURN_IF_ERROR(Matrix(at + "o_proj", s.hidden, q, w.attention.o));
    MACH_RETURN_IF_ERROR(
        Norm(at + "q_norm", s.head_dim, config_.centered_norms, w.attention.q_norm));
    return Norm(at + "k_norm", s.head_dim, config_.centered_norms, w.attention.k_norm);
  }

  Status Mixer(size_t i, const ops::DeltaNetShape& s, LayerWeights& w) {
    const std::string at = LayerName(i, "linear_attn.");
    MACH_RETURN_IF_ERROR(Matrix(at + "in_proj_qkv", s.conv_channels(), s.hidden, w.delta.qkv));
    MACH_RETURN_IF_ERROR(Matrix(at + "in_proj_z", s.value_width(), s.hidden, w.delta.z));
    MACH_RETURN_IF_ERROR(Matrix(at + "in_proj_a", s.value_heads, s.hidden, w.delta.a));
    MACH_RETURN_IF_ERROR(Matrix(at + "in_proj_b", s.value_heads, s.hidden, w.delta.b));
    MACH_RETURN_IF_ERROR(Matrix(at + "out_proj", s.hidden, s.value_width(), w.delta.out));
    const size_t channels = s.conv_channels();
    MACH_RETURN_IF_ERROR(Floats(
        s.conv_taps * channels, w.delta.conv,
        [&] { return source_.CheckConv(at + "conv1d", channels, s.conv_taps); },
        [&] { return source_.Conv(at + "conv1d", channels, s.conv_taps); }));
    MACH_RETURN_IF_ERROR(Vector(at + "A_log", s.value_heads, w.delta.a_log));
    MACH_RETURN_IF_ERROR(Vector(at + "dt_bias", s.value_heads, w.delta.dt_bias));
    // Plain in every layout (architectures.md 0.1).
    return Norm(at + "norm", s.value_dim, false, w.delta.norm);
  }

  Status SwiGlu(const std::string& at, size_t width, ops::SwiGlu& out) {
    MACH_RETURN_IF_ERROR(Matrix(at + "gate_proj", width, config_.hidden, out.gate));
    MACH_RETURN_IF_ERROR(Matrix(at + "up_proj", width, config_.hidden, out.up));
    return Matrix(at + "down_proj", config_.hidden, width, out.down);
  }

  Status Ffn(size_t i, const DenseShape& s, LayerWeights& w) {
    return SwiGlu(LayerName(i, "mlp."), s.width, w.dense);
  }

  Status Ffn(size_t i, const ops::MoeShape& s, LayerWeights& w) {
    w.moe.layout = experts_;
    MACH_RETURN_IF_ERROR(Matrix(LayerName(i, "mlp.gate"), s.experts, s.hidden, w.moe.router));
    if (s.shared_width == 0) return Ok();
    MACH_RETURN_IF_ERROR(SwiGlu(LayerName(i, "mlp.shared_expert."), s.shared_width, w.moe.shared));
    return Matrix(LayerName(i, "mlp.shared_expert_gate"), 1, s.hidden, w.moe.shared_gate);
  }

  Status Visit(Weights& out) {
    out.layers_.assign(config_.layers.size(), {});
    MACH_RETURN_IF_ERROR(Matrix("embed_tokens", config_.vocab, config_.hidden, out.embedding_));
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      LayerWeights& w = out.layers_[i];
      MACH_RETURN_IF_ERROR(Norm(LayerName(i, "input_layernorm"), config_.hidden,
                                config_.centered_norms, w.input_norm));
      MACH_RETURN_IF_ERROR(Norm(LayerName(i, "post_attention_layernorm"), config_.hidden,
                                config_.centered_norms, w.ffn_norm));
      MACH_RETURN_IF_ERROR(
          std::visit([&](const auto& s) { return Mixer(i, s, w); }, config_.layers[i].mixer));
      MACH_RETURN_IF_ERROR(
          std::visit([&](const auto& s) { return Ffn(i, s, w); }, config_.layers[i].ffn));
    }
    MACH_RETURN_IF_ERROR(Norm("norm", config_.hidden, config_.centered_norms, out.final_norm_));
    // Tied by the config, or by the checkpoint that has no head of its own.
    if (config_.tied_head || !source_.Has("lm_head")) {
      out.head_ = out.embedding_;
      return Ok();
    }
    return Matrix("lm_head", config_.vocab, config_.hidden, out.head_);
  }

  const ModelConfig& config_;
  const io::TensorSource& source_;
  const ops::ExpertLayout& experts_;
  MatrixReader reader_;
  const LoadProgress& progress_;
  MemoryPlacer placer_;
  size_t total_ = 0;
};

Result<std::unique_ptr<Weights>> Weights::Load(const ModelConfig& config,
                                               const io::TensorSource& source,
                                               const ops::ExpertLayout& experts,
                                               MemoryLedger& ledger, const LoadProgress& progress) {
  auto weights = std::make_unique<Weights>();
  Loader loader(config, source, experts, progress);
  MACH_RETURN_IF_ERROR(loader.Measure(*weights));
  MACH_TRY(weights->reservation_, ledger.Reserve(MemoryTag::kWeights, loader.bytes()));
  MACH_TRY(weights->memory_, AlignedBuffer::Allocate(loader.bytes()));
  MACH_RETURN_IF_ERROR(loader.Read(*weights));
  return weights;
}

Result<size_t> Weights::MeasureBytes(const ModelConfig& config, const io::TensorSource& source) {
  Weights unread;
  const ops::ExpertLayout experts;
  const LoadProgress none;
  Loader loader(config, source, experts, none);
  MACH_RETURN_IF_ERROR(loader.Measure(unread));
  return loader.bytes();
}

namespace {

Result<ops::ExpertLayout> LayoutOf(const io::ExpertSource& e) {
  const ops::ExpertLayout layout{MatrixReader::LayoutOf(e.gate), MatrixReader::LayoutOf(e.up),
                                 MatrixReader::LayoutOf(e.down)};
  for (const auto& [source, part] : {std::pair(&e.gate, layout.gate), std::pair(&e.up, layout.up),
                                     std::pair(&e.down, layout.down)}) {
    if (Status valid = quant::ValidateLayout(part); !valid) {
      return std::move(valid).error().In(source->name);
    }
  }
  return layout;
}

}  // namespace

Result<ops::ExpertLayout> FindExpertLayout(const ModelConfig& config,
                                           const io::TensorSource& source) {
  std::optional<ops::ExpertLayout> found;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    if (moe == nullptr) continue;
    for (uint32_t e = 0; e < moe->experts; ++e) {
      MACH_TRY(const io::ExpertSource expert, source.Expert(LayerName(i, "mlp"), ExpertId(e),
                                                            moe->experts, moe->hidden, moe->width));
      MACH_TRY(const ops::ExpertLayout layout, LayoutOf(expert));
      if (found && !(*found == layout)) {
        return Error{Code::kUnsupported,
                     expert.gate.name +
                         " has another quantization than the experts before it; all "
                         "routed experts of a model must have the same one"};
      }
      found = layout;
    }
  }
  return found.value_or(ops::ExpertLayout{});
}

Result<std::unique_ptr<experts::ResidentStore>> LoadExperts(const ModelConfig& config,
                                                            const io::TensorSource& source,
                                                            const ops::ExpertLayout& layout,
                                                            MemoryLedger& ledger,
                                                            const LoadProgress& progress) {
  size_t experts = 0;
  for (const LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn))
      experts = std::max(experts, moe->experts);
  }
  const size_t record = experts == 0 ? 0 : layout.record_bytes();
  MACH_TRY(auto store,
           experts::ResidentStore::Create(config.layers.size(), experts, record, ledger));
  MatrixReader reader(source.checkpoint());
  const uint64_t total = uint64_t{config.layers.size()} * experts * record;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    if (moe == nullptr) continue;
    for (uint32_t e = 0; e < moe->experts; ++e) {
      MACH_TRY(const io::ExpertSource expert, source.Expert(LayerName(i, "mlp"), ExpertId(e),
                                                            moe->experts, moe->hidden, moe->width));
      std::byte* to = store->Record(LayerId(static_cast<uint32_t>(i)), ExpertId(e)).data();
      const auto part = [&](const io::MatrixSource& from, size_t offset) {
        const uint64_t before = (uint64_t{i} * experts + e) * record + offset;
        return reader.Read(from, to + offset, [&](uint64_t packed) {
          return !progress || progress(before + packed, total);
        });
      };
      MACH_RETURN_IF_ERROR(part(expert.gate, 0));
      MACH_RETURN_IF_ERROR(part(expert.up, layout.up_offset()));
      MACH_RETURN_IF_ERROR(part(expert.down, layout.down_offset()));
    }
  }
  return store;
}

}  // namespace mach::model
