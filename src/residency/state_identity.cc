// What decides the bits of a sequence's state.
#include <span>
#include <vector>

#include "cache/state_shape.h"
#include "io/xxh3.h"
#include "ops/ffn.h"
#include "quant/tiled.h"
#include "residency/loaded_model.h"
#include "tensor/dtype.h"

namespace mach::residency {
namespace {

constexpr uint64_t kSampleEvery = uint64_t{4} << 20;
constexpr size_t kSampleBytes = 4096;

// Samples of the checkpoint's files, for the experts, of which not all are in memory.
Result<uint64_t> SampleFiles(const io::Checkpoint& checkpoint) {
  std::vector<uint64_t> sums;
  std::vector<std::byte> sample(kSampleBytes);
  for (size_t i = 0; i < checkpoint.files(); ++i) {
    io::File& file = checkpoint.file(i);
    for (uint64_t at = 0; at + kSampleBytes <= file.size(); at += kSampleEvery) {
      MACH_RETURN_IF_ERROR(ReadExactly(file, at, sample));
      sums.push_back(io::Xxh3(sample));
    }
  }
  return io::Xxh3(std::as_bytes(std::span(sums)));
}

std::string Describe(const quant::TiledLayout& layout) {
  return std::string(tensor::DTypeName(layout.type)) + "/" + std::to_string(layout.bits) + "/" +
         std::to_string(layout.group);
}

}  // namespace

Result<std::string> LoadedModel::StateIdentity() const {
  const cache::StateShape shape = StateShape();
  const ops::ExpertLayout& experts = model_->expert_layout();
  MACH_TRY(const std::string headers, io::FingerprintCheckpoint(fs_, *checkpoint_));
  MACH_TRY(const uint64_t samples, SampleFiles(*checkpoint_));
  return "state-1 headers=" + headers +
         " weights=" + std::to_string(io::Xxh3(model_->weights().memory())) +
         " samples=" + std::to_string(samples) +
         " compute=" + std::to_string(static_cast<int>(compute_)) +
         " kv_f16=" + std::to_string(shape.kv_f16) + " experts=" + Describe(experts.gate) + "," +
         Describe(experts.up) + "," + Describe(experts.down);
}

}  // namespace mach::residency
