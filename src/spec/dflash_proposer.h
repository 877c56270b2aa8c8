// Drafts of a DFlash drafter.
#pragma once

#include <memory>
#include <vector>

#include "cache/sequence_state.h"
#include "spec/drafter.h"
#include "spec/proposer.h"

namespace mach::spec {

// Gives features to the drafter late. Rows of the answer collect and reach the drafter together,
// before a draft or when the buffer is full, so that they cost next to nothing while nothing is
// drafted. A restored sequence's context is computed before the first draft, so that it delays no
// first token. Rows of the prompt reach the drafter at once.
class DFlashProposer final : public Proposer {
 public:
  explicit DFlashProposer(std::unique_ptr<Drafter> drafter);
  std::span<const uint32_t> taps() const override { return drafter_->model().config().taps; }
  size_t max_drafts() const override { return drafter_->max_block() - 1; }
  void Reset() override;
  // Keeps context features in the state where its shape has room for them (note_bytes).
  void Follow(cache::SequenceState& state) override;
  void Sync() override { Flush(); }
  void Observe(const float* features, size_t rows) override;
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts& more) override;

 private:
  void Flush();

  const std::unique_ptr<Drafter> drafter_;
  cache::SequenceState* state_ = nullptr;  // null: keeps no context features
  size_t restored_ = 0;                    // tokens of the followed state, until Flush
  size_t features_from_ = 0;               // first of them whose context feature is in the state
  std::vector<float> pending_;             // [kPendingRows, features()], the answer's rows
  size_t pending_rows_ = 0;
  // The drafter's output, by slot.
  std::vector<TokenId> tokens_;
  std::vector<float> probability_;
};

}  // namespace mach::spec
