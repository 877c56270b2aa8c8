// One sequence's DFlash drafter: what it remembers of the context, and the draft pass itself
// (arXiv 2602.06036).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "model/model.h"
#include "ops/block_attention.h"
#include "ops/context.h"
#include "spec/draft_model.h"

namespace mach::spec {

// Context positions that a full layer remembers; drafters are trained on 4K of context.
inline constexpr size_t kDraftContext = 8192;

// Owned by one thread. Memory is reserved as `draft` and does not grow: sliding layers keep their
// window, full layers the newest kDraftContext positions.
class Drafter {
 public:
  // Both models, the pool and the kernels outlive the drafter. context: most tokens of a sequence.
  static Result<std::unique_ptr<Drafter>> Create(const DraftModel& draft,
                                                 const model::Model& target,
                                                 const kernels::KernelTable& kernels,
                                                 ThreadPool& pool, ops::Compute compute,
                                                 size_t context, MemoryLedger& ledger);

  // What Create reserves, beside the drafter's weights. f16: as with int8 compute.
  static size_t MemoryBytes(const DraftConfig& config, bool f16, size_t context, size_t threads);

  const DraftModel& model() const { return draft_; }
  // Positions whose features were appended: [0, length), of which the newest are remembered.
  size_t length() const { return length_; }
  size_t features() const { return draft_.config().taps.size() * draft_.config().hidden; }
  size_t max_block() const { return max_block_; }

  void Reset() { length_ = first_ = 0; }
  // features: [rows, taps * hidden], the residual stream after the tapped layers at positions
  // [length(), + rows). Any number of rows. notes: keeps the context features of these positions,
  // in half precision, for Recall; null: nothing is kept.
  void Append(const float* features, size_t rows, cache::SequenceState* notes = nullptr);
  // Of each position in a sequence's notes: one context feature [hidden], which all layers make
  // their keys and values from.
  static size_t NoteBytes(const DraftConfig& config) { return config.hidden * sizeof(uint16_t); }
  // After Reset: goes on behind `length` positions of another sequence, of which those from `first`
  // on are in its notes; the earlier ones stay unknown. notes may be null when first == length.
  void Recall(cache::SequenceState* notes, size_t first, size_t length);

  // Most probable tokens for positions length() + 1 ... of a block whose first slot, at length(),
  // is `anchor`. Fills out; out.size() < max_block(). probability: of each proposal under the
  // drafter, when not null. more: asked after the first ones (they take a small part of the head's
  // work) whether, with so many filled, the others are wanted; empty: they are. Returns how many
  // were filled.
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
  AlignedBuffer memory_;  // of the rings
  MemoryReservation reservation_;
  std::vector<ops::KvRing> rings_;  // by layer
  size_t max_block_;
  size_t first_ = 0;  // oldest position that was ever known
  size_t length_ = 0;
};

}  // namespace mach::spec
