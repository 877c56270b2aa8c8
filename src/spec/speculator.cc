#include "spec/speculator.h"

#include <algorithm>

#include "base/check.h"
#include "cache/sequence_state.h"

namespace mach::spec {

Speculator::Speculator(Proposer& proposer, const PolicyOptions& policy, const Clock& clock,
                       Statistics& statistics)
    : proposer_(proposer),
      clock_(clock),
      statistics_(statistics),
      policy_(policy),
      drafts_(kMaxBlock - 1) {}

void Speculator::BeginRequest(std::span<const TokenId> stops, cache::SequenceState* state) {
  stops_.assign(stops.begin(), stops.end());
  std::sort(stops_.begin(), stops_.end());
  proposer_.Reset();
  if (state != nullptr) proposer_.Follow(*state);
  policy_.BeginRequest();
  certainty_.Begin();
}

void Speculator::ObservePrompt(const float* features, size_t rows) {
  if (!taps().empty()) proposer_.Observe(features, rows);
}

std::span<const TokenId> Speculator::NextBlock(std::span<const TokenId> sequence, size_t max_rows) {
  max_rows = std::min(max_rows, std::min(proposer_.max_drafts(), drafts_.size()) + 1);
  const size_t slots = policy_.DraftSlots(max_rows, certainty_.Value());
  MACH_CHECK(slots >= 1 && slots <= max_rows);
  requested_ = slots - 1;
  drafted_ = 0;
  useful_ = 0;
  draft_ns_ = 0;
  block_.assign(1, sequence.back());
  if (requested_ == 0) return block_;
  const int64_t start = clock_.NowNs();
  drafted_ = proposer_.Propose(sequence, std::span(drafts_).first(requested_),
                               [this](std::span<const Draft> so_far) {
                                 return UsefulOf(so_far) == so_far.size() && policy_.Wants(so_far);
                               });
  draft_ns_ = clock_.NowNs() - start;
  useful_ = UsefulOf(std::span(drafts_).first(drafted_));
  if (useful_ == 0) return block_;
  const size_t rows = policy_.VerifyRows(std::span(drafts_).first(useful_));
  for (size_t i = 0; i + 1 < rows; ++i) block_.push_back(drafts_[i].token);
  return block_;
}

// A stop token needs no row of its own: the row before it tells whether the answer ends there.
size_t Speculator::UsefulOf(std::span<const Draft> drafts) const {
  const auto stop = std::find_if(drafts.begin(), drafts.end(), [&](const Draft& draft) {
    return std::binary_search(stops_.begin(), stops_.end(), draft.token);
  });
  return static_cast<size_t>(stop - drafts.begin());
}

void Speculator::Finish(size_t accepted, bool cut, const PassTime& time, const float* features) {
  const size_t drafts = block_.size() - 1;
  MACH_CHECK(accepted <= drafts);
  policy_.Observe({.drafted = drafted_ == 0 ? 0 : requested_ + 1,
                   .rows = block_.size(),
                   .accepted = accepted,
                   .cut = cut,
                   .draft_ns = draft_ns_,
                   .verify_ns = time.verify_ns,
                   .stall_ns = time.stall_ns},
                  std::span(drafts_).first(useful_));
  statistics_.AddCycle(drafts, accepted, cut, policy_.low());
  if (!taps().empty()) proposer_.Observe(features, accepted + 1);
}

}  // namespace mach::spec
