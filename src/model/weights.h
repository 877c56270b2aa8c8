// The resident weights of a model, and how they are read from a checkpoint.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "experts/resident_store.h"
#include "io/tensor_source.h"
#include "model/config.h"
#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"
#include "quant/tiled.h"

namespace mach::model {

struct LayerWeights {
  const float* input_norm = nullptr;  // [hidden]
  const float* ffn_norm = nullptr;    // [hidden]
  ops::AttentionWeights attention;    // by the config's variant, one of these two
  ops::DeltaNetWeights delta;
  ops::MoeWeights moe;  // and one of these two
  ops::SwiGlu dense;
};

// Called while loading, on the loading thread. Returns false to stop (the load fails with
// kCancelled).
using LoadProgress = std::function<bool(uint64_t done_bytes, uint64_t total_bytes)>;

// Everything but the routed experts, in memory of its own. Const after Load.
class Weights {
 public:
  // Reads, checks and packs every tensor that the config asks for. Reserves its bytes first.
  // experts: the layout of the routed experts' records; each MoE layer's weights have it.
  static Result<std::unique_ptr<Weights>> Load(const ModelConfig& config,
                                               const io::TensorSource& source,
                                               const ops::ExpertLayout& experts,
                                               MemoryLedger& ledger, const LoadProgress& progress);

  // What Load would reserve, by the headers alone.
  static Result<size_t> MeasureBytes(const ModelConfig& config, const io::TensorSource& source);

  const quant::TiledMatrix& embedding() const { return embedding_; }
  const quant::TiledMatrix& head() const { return head_; }
  const float* final_norm() const { return final_norm_; }
  const LayerWeights& layer(size_t i) const { return layers_[i]; }
  size_t bytes() const { return memory_.size(); }
  std::span<const std::byte> memory() const { return memory_.bytes(); }

 private:
  class Loader;
  AlignedBuffer memory_;
  MemoryReservation reservation_;
  quant::TiledMatrix embedding_;
  quant::TiledMatrix head_;
  const float* final_norm_ = nullptr;
  std::vector<LayerWeights> layers_;
};

// The record layout that the experts of this checkpoint get; all of them must have the same one.
// Without MoE layers, an empty layout.
Result<ops::ExpertLayout> FindExpertLayout(const ModelConfig& config,
                                           const io::TensorSource& source);

// Reads all routed experts into memory. Layers are numbered as in the config.
Result<std::unique_ptr<experts::ResidentStore>> LoadExperts(const ModelConfig& config,
                                                            const io::TensorSource& source,
                                                            const ops::ExpertLayout& layout,
                                                            MemoryLedger& ledger,
                                                            const LoadProgress& progress);

// Reads one matrix of a checkpoint and packs it into out (layout.bytes()), in bands of rows.
class MatrixReader {
 public:
  // Told after each band how many bytes of `out` are made; false ends the read with kCancelled.
  using BandProgress = std::function<bool(uint64_t packed_bytes)>;

  explicit MatrixReader(const io::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  static quant::TiledLayout LayoutOf(const io::MatrixSource& source);
  Status Read(const io::MatrixSource& source, std::byte* out, const BandProgress& progress = {});

 private:
  const io::Checkpoint& checkpoint_;
  AlignedBuffer staging_;  // at most some MiB
};

}  // namespace mach::model
