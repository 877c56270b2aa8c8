#include "spec/dflash_proposer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cache/sequence_state.h"

namespace mach::spec {
namespace {
constexpr size_t kPendingRows = 256;
}  // namespace

DFlashProposer::DFlashProposer(std::unique_ptr<Drafter> drafter)
    : drafter_(std::move(drafter)),
      pending_(kPendingRows * drafter_->features()),
      tokens_(max_drafts()),
      probability_(max_drafts()) {}

void DFlashProposer::Reset() {
  drafter_->Reset();
  state_ = nullptr;
  restored_ = 0;
  pending_rows_ = 0;
}

void DFlashProposer::Follow(cache::SequenceState& state) {
  if (state.shape().note_bytes != 0) state_ = &state;
  restored_ = state.length();
  features_from_ = state_ == nullptr ? restored_ : state.noted_from();
}

void DFlashProposer::Flush() {
  if (restored_ != 0) {
    drafter_->RestoreContext(state_, features_from_, std::exchange(restored_, 0));
  }
  drafter_->Append(pending_.data(), pending_rows_, state_);
  pending_rows_ = 0;
}

void DFlashProposer::Observe(const float* features, size_t rows) {
  const bool prompt = rows > kMaxBlock;
  if (prompt || pending_rows_ + rows > kPendingRows) Flush();
  if (prompt) {
    drafter_->Append(features, rows, state_);
    return;
  }
  const size_t width = drafter_->features();
  std::copy_n(features, rows * width, pending_.data() + pending_rows_ * width);
  pending_rows_ += rows;
}

size_t DFlashProposer::Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                               const MoreDrafts& more) {
  const size_t n = std::min(out.size(), max_drafts());
  if (n == 0) return 0;
  Flush();
  MACH_CHECK(drafter_->length() + 1 == sequence.size());
  size_t filled = 0;
  const auto fill = [&](size_t drafted) {
    for (; filled < drafted; ++filled) out[filled] = {tokens_[filled], probability_[filled]};
  };
  fill(drafter_->Draft(sequence.back(), std::span(tokens_).first(n), probability_.data(),
                       [&](size_t drafted) {
                         fill(drafted);
                         return more(out.first(drafted));
                       }));
  return filled;
}

}  // namespace mach::spec
