// Decides each cycle's block: a proposer, the policy that limits it, and their statistics.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "cache/sequence_state.h"
#include "spec/block_policy.h"
#include "spec/certainty.h"
#include "spec/proposer.h"
#include "spec/statistics.h"

namespace mach::spec {

// A cycle is NextBlock, a verify pass over the block, an ObserveChoice for each token that the
// target chose, and Finish. Owned by the decoding thread. Lives across requests, so that the policy
// keeps what it learned.
class Speculator {
 public:
  // All must outlive it.
  Speculator(Proposer& proposer, const PolicyOptions& policy, const Clock& clock,
             Statistics& statistics);

  // Target layers whose output ObservePrompt and Finish must be given.
  std::span<const uint32_t> taps() const { return proposer_.taps(); }
  // stops: tokens that end the answer. state: see Proposer::Follow; null for a new, empty sequence
  // whose features are not to be kept.
  void BeginRequest(std::span<const TokenId> stops, cache::SequenceState* state);
  void Sync() { proposer_.Sync(); }
  // margin: LogitMargin of the token that the target chose.
  void ObserveChoice(float margin) { certainty_.Observe(margin); }
  // features: of `rows` tokens of the prompt, [rows, taps * hidden].
  void ObservePrompt(const float* features, size_t rows);
  // The block to verify: the last token of the sequence (its anchor), then drafts; at most max_rows
  // rows. Valid until the next call.
  std::span<const TokenId> NextBlock(std::span<const TokenId> sequence, size_t max_rows);

  struct PassTime {
    int64_t verify_ns = 0;
    int64_t stall_ns = 0;  // part of it in which the pass waited for experts
  };
  // The anchor and `accepted` drafts of the block were accepted. cut: the answer ended there, so
  // the next draft was not judged. features: of all rows of the block.
  void Finish(size_t accepted, bool cut, const PassTime& time, const float* features);

 private:
  // Drafts before the first stop token.
  size_t UsefulOf(std::span<const Draft> drafts) const;

  Proposer& proposer_;
  const Clock& clock_;
  Statistics& statistics_;
  BlockPolicy policy_;
  Certainty certainty_;
  std::vector<TokenId> stops_;  // of the request, sorted
  // State of the current cycle.
  std::vector<Draft> drafts_;
  size_t requested_ = 0;  // drafts that the policy asked for
  size_t drafted_ = 0;    // drafts that the proposer made
  size_t useful_ = 0;     // those before the first stop token
  int64_t draft_ns_ = 0;
  std::vector<TokenId> block_;
};

}  // namespace mach::spec
