#include "spec/draft_model.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/checkpoint.h"
#include "io/recognise.h"
#include "io/tensor_source.h"
#include "io/xxh3.h"
#include "json/value.h"
#include "quant/quantize.h"
#include "tensor/dtype.h"

namespace mach::spec {
namespace {

constexpr int kGroup = 64;  // columns that share a scale, in matrices quantized while loading

}  // namespace

// Visits every tensor twice, first to measure, then to read, as model::Weights::Loader.
class DraftModel::Loader {
 public:
  Loader(const DraftConfig& config, const io::TensorSource& source, int bits, MemoryLedger* ledger,
         const model::LoadProgress& progress)
      : config_(config),
        source_(source),
        reader_(source.checkpoint()),
        bits_(bits),
        ledger_(ledger),
        progress_(progress) {}

  Status Measure(DraftModel& out) { return Visit(out); }
  size_t bytes() const { return placer_.bytes(); }
  size_t most_staging() const { return most_staging_; }

  Status Read(DraftModel& out) {
    total_ = placer_.bytes();
    placer_.Begin(out.memory_.data());
    return Visit(out);
  }

 private:
  Status Matrix(const std::string& name, size_t rows, size_t cols, quant::TiledMatrix& out) {
    MACH_TRY(const io::MatrixSource from, source_.Matrix(name, rows, cols));
    const quant::TiledLayout stored = model::MatrixReader::LayoutOf(from);
    const bool quantizes = bits_ != 0 && !stored.affine();
    out.layout = stored;
    if (quantizes) out.layout = {rows, cols, tensor::DType::kBF16, bits_, kGroup};
    if (Status valid = quant::ValidateLayout(out.layout); !valid) {
      return std::move(valid).error().In(from.name);
    }
    const size_t staged =
        quantizes ? stored.bytes() + rows * cols * sizeof(float) + out.layout.bytes() : 0;
    most_staging_ = std::max(most_staging_, staged);
    const size_t before = placer_.bytes();
    std::byte* to = placer_.Place(out.layout.bytes());
    out.data = to;
    if (to == nullptr) return Ok();
    // Progress of a matrix that is quantized: its read is the first half.
    const auto report = [&](uint64_t packed) {
      const uint64_t made = quantizes ? packed * out.layout.bytes() / stored.bytes() / 2 : packed;
      return !progress_ || progress_(before + made, total_);
    };
    if (!quantizes) return reader_.Read(from, to, report);

    MACH_TRY(const MemoryReservation staging, ledger_->Reserve(MemoryTag::kStaging, staged));
    MACH_TRY(AlignedBuffer dense, AlignedBuffer::Allocate(stored.bytes()));
    MACH_RETURN_IF_ERROR(reader_.Read(from, dense.data(), report));
    MACH_TRY(AlignedBuffer floats, AlignedBuffer::Allocate(rows * cols * sizeof(float)));
    const std::span<float> values(floats.As<float>(), rows * cols);
    for (size_t r = 0; r < rows; ++r) {
      quant::UnpackRow({stored, dense.data()}, r, values.subspan(r * cols, cols));
    }
    quant::PackAffine(quant::QuantizeAffine(values, rows, cols, bits_, kGroup).view(), to);
    if (progress_ && !progress_(placer_.bytes(), total_)) {
      return Error{Code::kCancelled, "loading was cancelled"};
    }
    return Ok();
  }

  Status Norm(const std::string& name, size_t elements, const float*& out) {
    std::byte* to = placer_.Place(elements * sizeof(float));
    out = reinterpret_cast<const float*>(to);
    if (to == nullptr) return Ok();
    MACH_TRY(const std::vector<float> values, source_.Norm(name, elements, false));
    MACH_CHECK(values.size() == elements);
    std::memcpy(to, values.data(), elements * sizeof(float));
    return Ok();
  }

  Status Layer(const std::string& at, DraftLayerWeights& w) {
    const size_t h = config_.hidden;
    const size_t q = config_.heads * config_.head_dim;
    const size_t kv = config_.kv_heads * config_.head_dim;
    MACH_RETURN_IF_ERROR(Norm(at + "input_layernorm", h, w.input_norm));
    MACH_RETURN_IF_ERROR(Norm(at + "post_attention_layernorm", h, w.ffn_norm));
    MACH_RETURN_IF_ERROR(Matrix(at + "self_attn.q_proj", q, h, w.attention.q));
    MACH_RETURN_IF_ERROR(Matrix(at + "self_attn.k_proj", kv, h, w.attention.k));
    MACH_RETURN_IF_ERROR(Matrix(at + "self_attn.v_proj", kv, h, w.attention.v));
    MACH_RETURN_IF_ERROR(Matrix(at + "self_attn.o_proj", h, q, w.attention.o));
    MACH_RETURN_IF_ERROR(Norm(at + "self_attn.q_norm", config_.head_dim, w.attention.q_norm));
    MACH_RETURN_IF_ERROR(Norm(at + "self_attn.k_norm", config_.head_dim, w.attention.k_norm));
    MACH_RETURN_IF_ERROR(Matrix(at + "mlp.gate_proj", config_.width, h, w.mlp.gate));
    MACH_RETURN_IF_ERROR(Matrix(at + "mlp.up_proj", config_.width, h, w.mlp.up));
    return Matrix(at + "mlp.down_proj", h, config_.width, w.mlp.down);
  }

  Status Visit(DraftModel& out) {
    const size_t h = config_.hidden;
    out.layers_.assign(config_.layers.size(), {});
    MACH_RETURN_IF_ERROR(Matrix("fc", h, config_.taps.size() * h, out.fc_));
    MACH_RETURN_IF_ERROR(Norm("hidden_norm", h, out.context_norm_));
    MACH_RETURN_IF_ERROR(Norm("norm", h, out.final_norm_));
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      MACH_RETURN_IF_ERROR(Layer("layers." + std::to_string(i) + ".", out.layers_[i]));
    }
    return Ok();
  }

  const DraftConfig& config_;
  const io::TensorSource& source_;
  model::MatrixReader reader_;
  const int bits_;
  MemoryLedger* ledger_;  // null while measuring only
  const model::LoadProgress& progress_;
  size_t total_ = 0;
  size_t most_staging_ = 0;
  MemoryPlacer placer_;
};

namespace {

struct Opened {
  std::unique_ptr<io::Checkpoint> checkpoint;
  DraftConfig config;
};

// The errors name the directory.
Result<Opened> OpenFor(io::FileSystem& fs, const std::string& directory,
                       const model::ModelConfig& target) {
  Opened opened;
  const auto check = [&](const json::Value& config) -> Status {
    if (auto role = io::RecogniseRole(fs, directory, config, io::Wanted::kDrafter)) return *role;
    auto parsed = ParseDraftConfig(config);
    if (!parsed) return std::move(parsed).error().In(directory);
    opened.config = *std::move(parsed);
    if (Status paired = CheckPairing(opened.config, target); !paired) {
      return std::move(paired).error().In(directory);
    }
    if (auto other = io::RecogniseQuantization(fs, directory, config)) return *other;
    return Ok();
  };
  auto checkpoint = io::Checkpoint::Open(fs, directory, check);
  if (!checkpoint) return std::move(checkpoint).error().In("drafter");
  opened.checkpoint = *std::move(checkpoint);
  return opened;
}

}  // namespace

Result<std::unique_ptr<DraftModel>> DraftModel::Load(io::FileSystem& fs,
                                                     const DraftModelOptions& options,
                                                     const model::ModelConfig& target,
                                                     MemoryLedger& ledger,
                                                     const model::LoadProgress& progress) {
  MACH_CHECK(options.bits == 0 || options.bits == 4 || options.bits == 8);
  MACH_TRY(Opened opened, OpenFor(fs, options.directory, target));
  const auto load = [&]() -> Result<std::unique_ptr<DraftModel>> {
    auto made = std::make_unique<DraftModel>();
    made->directory_ = options.directory;
    made->config_ = std::move(opened.config);
    MACH_TRY(const io::TensorSource source, io::TensorSource::Create(*opened.checkpoint));
    Loader loader(made->config_, source, options.bits, &ledger, progress);
    MACH_RETURN_IF_ERROR(loader.Measure(*made));
    MACH_TRY(made->reservation_, ledger.Reserve(MemoryTag::kDraft, loader.bytes()));
    MACH_TRY(made->memory_, AlignedBuffer::Allocate(loader.bytes()));
    MACH_RETURN_IF_ERROR(loader.Read(*made));
    return made;
  };
  auto made = load();
  if (!made) return std::move(made).error().In(options.directory);
  return made;
}

Result<DraftModel::Needs> DraftModel::Measure(io::FileSystem& fs, const DraftModelOptions& options,
                                              const model::ModelConfig& target) {
  MACH_TRY(Opened opened, OpenFor(fs, options.directory, target));
  const auto measure = [&]() -> Result<Needs> {
    DraftModel unread;
    unread.config_ = std::move(opened.config);
    MACH_TRY(const io::TensorSource source, io::TensorSource::Create(*opened.checkpoint));
    const model::LoadProgress none;
    Loader loader(unread.config_, source, options.bits, nullptr, none);
    MACH_RETURN_IF_ERROR(loader.Measure(unread));
    return Needs{loader.bytes(), loader.most_staging(), unread.config_};
  };
  auto needs = measure();
  if (!needs) return std::move(needs).error().In(options.directory);
  return needs;
}

std::string DraftModel::Find(io::FileSystem& fs, const std::string& checkpoint) {
  std::string base = checkpoint;
  while (base.size() > 1 && base.ends_with('/')) base.pop_back();
  for (const std::string& directory : {base + "-dflash", base + "/dflash"}) {
    if (fs.Open(directory + "/config.json").ok()) return directory;
  }
  return {};
}

// The text is hashed into the key of prefix entries on disk: any change of it makes old entries
// unusable.
std::string DraftModel::ContextFeatureIdentity() const {
  const uint64_t fc = io::Xxh3(std::span(fc_.data, fc_.layout.bytes()));
  const uint64_t norm = io::Xxh3(std::as_bytes(std::span(context_norm_, config_.hidden)));
  return " notes-1 fc=" + std::to_string(fc) + " norm=" + std::to_string(norm);
}

}  // namespace mach::spec
