#include "residency/sidecar_export.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>
#include <vector>

#include "ops/ffn.h"
#include "quant/quantize.h"
#include "tensor/dtype.h"

namespace mach::residency {
namespace {

constexpr int kGroup = 64;
// Beyond it the range of a group may pass what a scale can hold.
constexpr float kLargestWeight = 1e38f;

int BitsOf(SidecarBits bits) {
  switch (bits) {
    case SidecarBits::k4:
      return 4;
    case SidecarBits::k8:
      return 8;
    default:
      return 0;
  }
}

std::string MlpName(size_t layer) { return "layers." + std::to_string(layer) + ".mlp"; }

// What one matrix becomes.
Result<quant::TiledLayout> Convert(quant::TiledLayout from, const std::string& name,
                                   SidecarBits bits) {
  const int wanted = BitsOf(bits);
  if (bits == SidecarBits::kKeep || (from.affine() && from.bits == wanted) ||
      (!from.affine() && bits == SidecarBits::k16 && from.type != tensor::DType::kF32)) {
    return from;
  }
  if (from.affine() || bits == SidecarBits::k16) {
    const std::string has = from.affine() ? std::to_string(from.bits) + "-bit"
                                          : std::string(tensor::DTypeName(from.type));
    return Error{Code::kInvalidArgument,
                 name + " is " + has + " in the checkpoint, --bits says " +
                     std::to_string(wanted == 0 ? 16 : wanted) +
                     ", which would be loss upon loss; use --bits keep, or export from the "
                     "published 16-bit checkpoint"};
  }
  if (from.cols % kGroup != 0) {
    return Error{Code::kUnsupported, name + " has " + std::to_string(from.cols) +
                                         " columns, which groups of 64 do not divide; use --bits "
                                         "keep"};
  }
  return quant::TiledLayout{from.rows, from.cols, tensor::DType::kBF16, wanted, kGroup};
}

// Packs experts, one thread's worth.
class Packer {
 public:
  Packer(const io::TensorSource& source, const ops::ExpertLayout& layout)
      : source_(source), layout_(layout), reader_(source.checkpoint()) {}

  // Told of further bytes that are packed; false ends it with kCancelled.
  using Advance = std::function<bool(uint64_t more)>;

  Status Pack(size_t layer, ExpertId expert, const ops::MoeShape& moe, std::byte* record,
              const Advance& advance) {
    MACH_TRY(const io::ExpertSource from,
             source_.Expert(MlpName(layer), expert, moe.experts, moe.hidden, moe.width));
    MACH_RETURN_IF_ERROR(Matrix(from.gate, layout_.gate, record, advance));
    MACH_RETURN_IF_ERROR(Matrix(from.up, layout_.up, record + layout_.up_offset(), advance));
    return Matrix(from.down, layout_.down, record + layout_.down_offset(), advance);
  }

 private:
  Status Matrix(const io::MatrixSource& from, const quant::TiledLayout& to, std::byte* out,
                const Advance& advance) {
    const quant::TiledLayout found = model::MatrixReader::LayoutOf(from);
    if (found == to) {
      uint64_t before = 0;
      return reader_.Read(from, out, [&](uint64_t packed) {
        const uint64_t more = packed - std::exchange(before, packed);
        return advance(more);
      });
    }
    const size_t count = found.rows * found.cols;
    MACH_RETURN_IF_ERROR(Grow(dense_, from.weight.bytes));
    MACH_RETURN_IF_ERROR(Grow(floats_, count * sizeof(float)));
    const auto dense = dense_.bytes().first(from.weight.bytes);
    if (Status read = source_.checkpoint().Read(from.weight, dense); !read) {
      return std::move(read).error().In(from.name);
    }
    const std::span<float> floats(floats_.As<float>(), count);
    const size_t bytes = tensor::DTypeBytes(from.type);
    for (size_t i = 0; i < count; ++i) {
      floats[i] = tensor::LoadFloat(from.type, dense.data() + i * bytes);
      if (!(std::abs(floats[i]) <= kLargestWeight)) {
        return Error{Code::kCorrupt, from.name + " has the weight " + std::to_string(floats[i]) +
                                         " at row " + std::to_string(i / found.cols) + ", column " +
                                         std::to_string(i % found.cols) +
                                         ", which cannot be quantized; the checkpoint is damaged"};
      }
    }
    quant::PackAffine(
        quant::QuantizeAffine(floats, found.rows, found.cols, to.bits, to.group).view(), out);
    if (!advance(to.bytes())) return Error{Code::kCancelled, "the export was interrupted"};
    return Ok();
  }

  const io::TensorSource& source_;
  const ops::ExpertLayout& layout_;
  model::MatrixReader reader_;
  AlignedBuffer dense_;
  AlignedBuffer floats_;
};

}  // namespace

Result<ops::ExpertLayout> ExportLayout(const model::ModelConfig& config,
                                       const io::TensorSource& source,
                                       const SidecarExport& options) {
  bool any = false;
  for (const model::LayerConfig& layer : config.layers) {
    const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn);
    if (moe == nullptr) continue;
    any = true;
    if (options.experts && *options.experts != moe->experts) {
      return Error{Code::kInvalidArgument, "the checkpoint has " + std::to_string(moe->experts) +
                                               " experts in a layer, --num-experts says " +
                                               std::to_string(*options.experts)};
    }
  }
  if (!any) {
    return Error{Code::kInvalidArgument,
                 "the model has no routed experts, and needs no sidecar; serve it with "
                 "--no-streaming"};
  }
  MACH_TRY(const ops::ExpertLayout found, model::FindExpertLayout(config, source));
  ops::ExpertLayout layout;
  MACH_TRY(layout.gate, Convert(found.gate, "gate_proj of the experts", options.bits));
  MACH_TRY(layout.up, Convert(found.up, "up_proj of the experts", options.bits));
  MACH_TRY(layout.down, Convert(found.down, "down_proj of the experts", options.bits));
  return layout;
}

Status ExportSidecar(const model::ModelConfig& config, const io::TensorSource& source,
                     const ops::ExpertLayout& layout, const SidecarExport& options,
                     ThreadPool& pool, io::SidecarWriter& writer) {
  const size_t record = layout.record_bytes();
  const size_t batch = pool.threads();
  std::vector<Packer> packers;
  packers.reserve(batch);
  for (size_t i = 0; i < batch; ++i) packers.emplace_back(source, layout);
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(batch * record));
  const std::span<std::byte> records = memory.bytes();
  std::vector<Status> outcomes(batch, Ok());

  uint64_t total = 0;
  for (const model::LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) total += moe->experts * record;
  }
  // Of what is made of a record, packing is one half and writing the other.
  uint64_t done = 0;
  std::atomic<uint64_t> packed = 0;  // of this batch
  std::atomic<bool> stopped = false;
  const auto report = [&] {
    const uint64_t made = done + std::min<uint64_t>(packed, batch * record) / 2;
    if (options.progress && !options.progress(std::min(made, total), total)) stopped = true;
  };
  const auto interrupted = [&]() -> Status {
    report();
    if (!stopped) return Ok();
    return Error{Code::kCancelled, "the export was interrupted; the same command goes on with it"};
  };
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[layer].ffn);
    if (moe == nullptr) continue;
    if (writer.IsFinished(layer)) {
      done += moe->experts * record;
      MACH_RETURN_IF_ERROR(interrupted());
      continue;
    }
    MACH_RETURN_IF_ERROR(writer.BeginLayer(layer));
    for (size_t first = 0; first < moe->experts; first += batch) {
      const size_t count = std::min(batch, moe->experts - first);
      std::fill(records.begin(), records.end(), std::byte{0});
      packed = 0;
      pool.ParallelFor(count, 1, [&](size_t begin, size_t end, size_t worker) {
        const auto advance = [&](uint64_t more) {
          packed += more;
          if (worker == 0) report();  // on the caller's thread alone
          return !stopped.load();
        };
        for (size_t i = begin; i < end; ++i) {
          outcomes[i] = packers[i].Pack(layer, ExpertId(static_cast<uint32_t>(first + i)), *moe,
                                        records.data() + i * record, advance);
        }
      });
      MACH_RETURN_IF_ERROR(interrupted());
      for (size_t i = 0; i < count; ++i) MACH_RETURN_IF_ERROR(outcomes[i]);
      for (size_t i = 0; i < count; ++i) {
        MACH_RETURN_IF_ERROR(writer.Append({records.data() + i * record, record}));
        packed = (count - i - 1) * record;
        done += record;
        MACH_RETURN_IF_ERROR(interrupted());
      }
    }
    MACH_RETURN_IF_ERROR(writer.EndLayer());
  }
  return writer.Publish();
}

}  // namespace mach::residency
