#include "spec/verifier.h"

#include <algorithm>

#include "base/check.h"
#include "cache/sequence_state.h"

namespace mach::spec {

size_t Verifier::ScratchBytes(const model::ModelConfig& target, size_t max_rows, size_t taps) {
  const size_t block = std::min(max_rows, kMaxBlock);
  return (max_rows * target.hidden * (1 + taps) + block * target.vocab) * sizeof(float);
}

Result<std::unique_ptr<Verifier>> Verifier::Create(const model::Model& model, model::Workspace& ws,
                                                   size_t taps, MemoryLedger& ledger) {
  const size_t bytes = ScratchBytes(model.config(), ws.max_rows(), taps);
  MACH_TRY(MemoryReservation reservation, ledger.Reserve(MemoryTag::kScratch, bytes));
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(bytes));
  std::unique_ptr<Verifier> made(new Verifier(model, ws, std::move(memory), taps));
  made->reservation_ = std::move(reservation);
  return made;
}

Verifier::Verifier(const model::Model& model, model::Workspace& ws, AlignedBuffer memory,
                   size_t taps)
    : model_(model),
      ws_(ws),
      block_(std::min(ws.max_rows(), kMaxBlock)),
      memory_(std::move(memory)),
      hidden_(memory_.As<float>()),
      features_(hidden_ + ws.max_rows() * model.config().hidden),
      logits_(features_ + ws.max_rows() * model.config().hidden * taps) {}

std::span<const float> Verifier::logits(size_t row) const {
  const size_t vocab = model_.config().vocab;
  return {logits_ + row * vocab, vocab};
}

Status Verifier::Prefill(std::span<const TokenId> tokens, std::span<const uint32_t> taps,
                         const std::atomic<bool>* cancelled, bool want_logits,
                         cache::SequenceState& state) {
  MACH_RETURN_IF_ERROR(model_.Forward(
      ws_, {.tokens = tokens, .taps = taps, .tap_rows = features_, .cancel = cancelled}, state,
      hidden_));
  if (want_logits) {
    const float* last = hidden_ + (tokens.size() - 1) * model_.config().hidden;
    return model_.Logits(ws_, last, 1, logits_);
  }
  return Ok();
}

Status Verifier::Verify(std::span<const TokenId> block, std::span<const uint32_t> taps,
                        const std::atomic<bool>* cancelled, cache::SequenceState& state) {
  MACH_CHECK(!block.empty() && block.size() <= block_);
  start_ = state.length();
  if (block.size() > 1) MACH_RETURN_IF_ERROR(state.Mark(block_));
  MACH_RETURN_IF_ERROR(model_.Forward(ws_,
                                      {.tokens = block,
                                       .taps = taps,
                                       .tap_rows = features_,
                                       .cancel = cancelled,
                                       .draft = block.size() > 1},
                                      state, hidden_));
  return model_.Logits(ws_, hidden_, block.size(), logits_);
}

// A block of one row has no mark: it cannot be rolled back and need not be.
void Verifier::Commit(size_t rows, cache::SequenceState& state) {
  ws_.CommitRows(rows);
  if (state.marked()) state.Rollback(start_ + rows);
}

}  // namespace mach::spec
