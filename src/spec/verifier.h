// The target's side of a cycle: forward passes, their logits and features, and the rollback of rows
// that are not accepted.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "cache/sequence_state.h"
#include "model/model.h"
#include "spec/draft_config.h"

namespace mach::spec {

// Owned by one thread together with the workspace. Model and workspace must outlive it.
class Verifier {
 public:
  // taps: the largest number of layers that a pass taps. Reserves its buffers as scratch.
  static Result<std::unique_ptr<Verifier>> Create(const model::Model& model, model::Workspace& ws,
                                                  size_t taps, MemoryLedger& ledger);

  // Bytes that Create reserves for passes of up to max_rows tokens.
  static size_t ScratchBytes(const model::ModelConfig& target, size_t max_rows, size_t taps);

  size_t max_rows() const { return ws_.max_rows(); }
  size_t max_block() const { return block_; }

  // Forwards a part of the prompt, at most max_rows() tokens; want_logits: computes logits of its
  // last token. taps: layers whose output goes to features().
  Status Prefill(std::span<const TokenId> tokens, std::span<const uint32_t> taps,
                 const std::atomic<bool>* cancelled, bool want_logits, cache::SequenceState& state);
  // Forwards a block of 1 to max_block() tokens and computes logits of every row. Commit then keeps
  // the first rows. After an error the state is spent. REQUIRES: the last block was committed.
  Status Verify(std::span<const TokenId> block, std::span<const uint32_t> taps,
                const std::atomic<bool>* cancelled, cache::SequenceState& state);
  // Accepts the first `rows` rows of the block: the state holds their tokens and no others.
  // REQUIRES: 1 <= rows <= rows of the block.
  void Commit(size_t rows, cache::SequenceState& state);

  // Logits of a row of the last pass, [vocab]; after Prefill there is only row 0, its last token's.
  std::span<const float> logits(size_t row) const;
  // Outputs of the tapped layers in the last pass, [rows, taps * hidden].
  const float* features() const { return features_; }

 private:
  Verifier(const model::Model& model, model::Workspace& ws, AlignedBuffer memory, size_t taps);
  const model::Model& model_;
  model::Workspace& ws_;
  const size_t block_;
  MemoryReservation reservation_;
  size_t start_ = 0;  // length of the state before the last block
  AlignedBuffer memory_;
  float* const hidden_;    // [max_rows, hidden]
  float* const features_;  // [max_rows, taps, hidden]
  float* const logits_;    // [block, vocab]
};

}  // namespace mach::spec
