// The DFlash drafter of one sequence: its context, and the draft pass (arXiv 2602.06036).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "cache/sequence_state.h"
#include "kernels/table.h"
#include "model/model.h"
#include "ops/block_attention.h"
#include "ops/context.h"
#include "spec/draft_model.h"

namespace mach::spec {

// Context positions that a full-attention layer keeps; drafters are trained on 4K of context.
inline constexpr size_t kDraftContext = 8192;

// For each position of the context it computes
//
//   context feature [hidden] = rms_norm(fc * features),   features [taps * hidden]
//
// from the outputs of the tapped target layers, and from that the keys and values of all its
// layers, which are what it keeps. The context features can be kept in the sequence's state as well
// (SequenceState::Note, in half precision), so that a prefix cache restores them with it.
//
// Owned by one thread. Memory is reserved as `draft` and does not grow: sliding layers keep their
// window, full layers the newest kDraftContext positions.
class Drafter {
 public:
  // Both models, the pool and the kernels must outlive the drafter. context: maximum length of a
  // sequence.
  static Result<std::unique_ptr<Drafter>> Create(const DraftModel& draft,
                                                 const model::Model& target,
                                                 const kernels::KernelTable& kernels,
                                                 ThreadPool& pool, ops::Compute compute,
                                                 size_t context, MemoryLedger& ledger);

  // Bytes that Create reserves, without the weights. f16: keys and values are half precision, as
  // with int8 compute.
  static size_t MemoryBytes(const DraftConfig& config, bool f16, size_t context, size_t threads);
  // Bytes of a context feature in a sequence's state.
  static size_t ContextFeatureBytes(const DraftConfig& config) {
    return config.hidden * sizeof(uint16_t);
  }

  const DraftModel& model() const { return draft_; }
  // Length of the context: the positions [0, length()), the newest of which are kept.
  size_t length() const { return length_; }
  // Floats of one row of features.
  size_t features() const { return draft_.config().taps.size() * draft_.config().hidden; }
  // Slots of a draft, the anchor's included.
  size_t max_block() const { return max_block_; }

  void Reset() { length_ = first_ = 0; }
  // features [rows, taps * hidden]: outputs of the tapped target layers at positions
  // [length(), length() + rows); any number of rows. state: where their context features are kept
  // too; null: nowhere.
  void Append(const float* features, size_t rows, cache::SequenceState* state = nullptr);
  // Restores the context [0, length) of a sequence whose state has the context features of
  // positions [first, length); earlier positions stay unknown. REQUIRES: Reset; state != null
  // unless first == length.
  void RestoreContext(cache::SequenceState* state, size_t first, size_t length);

  // Drafts the most probable tokens of positions length() + 1, length() + 2 and so on, given the
  // token at length(), the anchor. Fills out and, when not null, probability [out.size()] with the
  // drafter's own probability of each; returns how many. more: called after the first few slots,
  // which take a small part of the head's work, with their number; false: no more are wanted.
  // REQUIRES: 1 <= out.size() < max_block().
  size_t Draft(TokenId anchor, std::span<TokenId> out, float* probability = nullptr,
               const std::function<bool(size_t)>& more = {});

 private:
  Drafter(const DraftModel& draft, const model::Model& target, const kernels::KernelTable& kernels,
          ThreadPool& pool, Arena arena, ops::Compute compute);
  static size_t ScratchBytes(const DraftConfig& c, std::span<const ops::KvRing> rings,
                             size_t threads);
  void Angles(size_t position, size_t rows, float* cos, float* sin);
  void AppendContext(const float* context, size_t rows);
  void StoreRows(size_t layer, size_t position, size_t rows, float* k, const float* v,
                 const float* cos, const float* sin);
  void Head(const float* x, std::span<TokenId> out, float* probability);
  void Mix(size_t layer, size_t rows, const float* cos, const float* sin, ops::Activations& x,
           float* out);

  const DraftModel& draft_;
  const model::Model& target_;
  const std::vector<float> inv_freq_;
  Arena arena_;
  ops::Context ctx_;
  AlignedBuffer memory_;  // holds the rings
  MemoryReservation reservation_;
  std::vector<ops::KvRing> rings_;  // by layer
  size_t max_block_;
  size_t first_ = 0;  // positions before it were never known
  size_t length_ = 0;
};

}  // namespace mach::spec
