// A drafter whose drafts a long match in the text overrides.
#pragma once

#include <algorithm>

#include "cache/sequence_state.h"
#include "spec/dflash_proposer.h"
#include "spec/ngram_proposer.h"

namespace mach::spec {

// Where the text matches in at least kLongMatch tokens, the n-gram drafts replace the drafter's
// first ones; where they fill all slots, the drafter does not run. Both must outlive it.
class CombinedProposer final : public Proposer {
 public:
  static constexpr size_t kLongMatch = 12;

  CombinedProposer(Proposer& drafter, NgramProposer& ngram) : drafter_(drafter), ngram_(ngram) {}
  std::span<const uint32_t> taps() const override { return drafter_.taps(); }
  size_t max_drafts() const override { return drafter_.max_drafts(); }
  void Reset() override {
    drafter_.Reset();
    ngram_.Reset();
  }
  void Follow(cache::SequenceState& state) override { drafter_.Follow(state); }
  void Sync() override { drafter_.Sync(); }
  void Observe(const float* features, size_t rows) override { drafter_.Observe(features, rows); }
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts& more) override {
    const size_t known = ngram_.Propose(sequence, out, more);
    const bool believed = ngram_.matched() >= kLongMatch;
    if (believed && known == out.size()) return known;
    if (!believed) return drafter_.Propose(sequence, out, more);
    std::copy_n(out.begin(), known, copied_);
    const auto override_first = [&](size_t drafted) {
      std::copy_n(copied_, std::min(known, drafted), out.begin());
    };
    const size_t drafted = drafter_.Propose(sequence, out, [&](std::span<const Draft> so_far) {
      override_first(so_far.size());
      return so_far.size() < known || more(so_far);
    });
    override_first(known);
    return std::max(drafted, known);
  }

 private:
  Proposer& drafter_;
  NgramProposer& ngram_;
  Draft copied_[kMaxBlock];
};

}  // namespace mach::spec
