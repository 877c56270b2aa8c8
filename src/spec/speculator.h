// A proposer, its policy, and the account of both: what decides each cycle's block.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "spec/block_policy.h"
#include "spec/certainty.h"
#include "spec/proposer.h"
#include "spec/statistics.h"

namespace mach::spec {

// Owned by the decoding thread. Lives across requests, so that what the policy learned stays.
class Speculator {
 public:
  // All outlive it.
  Speculator(Proposer& proposer, const PolicyOptions& policy, const Clock& clock,
             Statistics& statistics);

  std::span<const uint32_t> taps() const { return proposer_.taps(); }
  // stops: the answer ends before any of these. state: of the new sequence, when it holds tokens
  // already, or notes are to be kept of it.
  void BeginRequest(std::span<const TokenId> stops, cache::SequenceState* state);
  void Sync() { proposer_.Sync(); }
  // The target chose the next token, with its logit so far above all others; less than 0 where
  // another's was higher.
  void ObserveChoice(float margin) { certainty_.Observe(margin); }
  // Features of prompt tokens.
  void ObservePrompt(const float* features, size_t rows);
  // The next block: the last token of sequence (its anchor), then drafts; at most `most` rows.
  // Valid until the next call.
  std::span<const TokenId> NextBlock(std::span<const TokenId> sequence, size_t most);
  // Of the block the anchor and `accepted` drafts were kept. features: of all its rows. cut: the
  // answer ended there.
  struct PassTime {
    int64_t verify_ns = 0;
    int64_t stall_ns = 0;  // of it
  };
  void Finish(size_t accepted, bool cut, const PassTime& time, const float* features);

 private:
  // Drafts before the first stop token.
  size_t UsefulOf(std::span<const Draft> drafts) const;

  Proposer& proposer_;
  BlockPolicy policy_;
  const Clock& clock_;
  Statistics& statistics_;
  std::vector<TokenId> stops_;  // sorted
  std::vector<Draft> drafts_;
  size_t asked_ = 0;  // drafts that the policy wanted
  size_t drafted_ = 0;
  size_t useful_ = 0;  // of those, before the first stop token
  int64_t draft_ns_ = 0;
  std::vector<TokenId> block_;
  Certainty certainty_;
};

}  // namespace mach::spec
