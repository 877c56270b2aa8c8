// Drafts of a DFlash drafter.
#pragma once

#include <memory>
#include <vector>

#include "spec/drafter.h"
#include "spec/proposer.h"

namespace mach::spec {

// Rows of the answer are kept as they come and given to the drafter together, before a draft or
// when there are many: while nothing is drafted, they cost next to nothing. What a restored
// sequence left in its notes waits likewise, so that it delays no first token.
class DFlashProposer final : public Proposer {
 public:
  explicit DFlashProposer(std::unique_ptr<Drafter> drafter);
  std::span<const uint32_t> taps() const override { return drafter_->model().config().taps; }
  size_t max_drafts() const override { return drafter_->max_block() - 1; }
  void Reset() override;
  void Follow(cache::SequenceState& state) override;
  void Sync() override { Flush(); }
  void Observe(const float* features, size_t rows) override;
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts& more) override;

 private:
  void Flush();
  const std::unique_ptr<Drafter> drafter_;
  cache::SequenceState* state_ = nullptr;
  size_t recalled_ = 0;    // tokens that the state held at first, not yet given to the drafter
  size_t noted_from_ = 0;  // of them, the first one with notes
  std::vector<float> waiting_;
  size_t waiting_rows_ = 0;
  std::vector<TokenId> tokens_;
  std::vector<float> probability_;
};

}  // namespace mach::spec
