// The target's side of a cycle: forward passes, their logits, and what they leave behind.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "model/model.h"
#include "spec/draft_config.h"

namespace mach::spec {

// Owned by one thread, together with the workspace, which outlives it.
class Verifier {
 public:
  // taps: most layers that a pass taps. Reserves its buffers as scratch.
  static Result<std::unique_ptr<Verifier>> Create(const model::Model& model, model::Workspace& ws,
                                                  size_t taps, MemoryLedger& ledger);

  // What Create reserves, for passes of up to max_rows tokens.
  static size_t ScratchBytes(const model::ModelConfig& target, size_t max_rows, size_t taps);

  size_t max_rows() const { return ws_.max_rows(); }
  size_t max_block() const { return block_; }

  // A part of the prompt, at most max_rows() tokens; logits of its last one when wanted.
  Status Prefill(std::span<const TokenId> tokens, std::span<const uint32_t> taps,
                 const std::atomic<bool>* cancelled, bool want_logits, cache::SequenceState& state);
  // One token, or a block of up to max_block(), of which Commit then keeps the first ones. Every
  // row has its logits. REQUIRES: the block before was committed.
  Status Verify(std::span<const TokenId> block, std::span<const uint32_t> taps,
                const std::atomic<bool>* cancelled, cache::SequenceState& state);
  // REQUIRES: 1 <= rows <= those of the block.
  void Commit(size_t rows, cache::SequenceState& state);

  // Of the last pass. After Prefill only row 0, which is its last token's.
  std::span<const float> logits(size_t row) const;
  const float* features() const { return features_; }

 private:
  Verifier(const model::Model& model, model::Workspace& ws, AlignedBuffer memory, size_t taps);
  const model::Model& model_;
  model::Workspace& ws_;
  const size_t block_;
  MemoryReservation reservation_;
  size_t start_ = 0;  // of the last block
  AlignedBuffer memory_;
  float* const hidden_;    // [max_rows, hidden]
  float* const features_;  // [max_rows, taps, hidden]
  float* const logits_;    // [block, vocab]
};

}  // namespace mach::spec
