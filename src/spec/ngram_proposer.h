// Prompt lookup: drafts what followed an earlier occurrence of the sequence's last tokens.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "spec/proposer.h"

namespace mach::spec {

struct NgramOptions {
  size_t min_match = 3;    // tokens that must agree, 1 to 8
  size_t max_drafts = 15;  // at most kMaxBlock - 1
};

// Drafts nothing where the last min_match tokens occur nowhere before. Memory grows with the
// sequence: some 12 bytes a token.
class NgramProposer final : public Proposer {
 public:
  explicit NgramProposer(const NgramOptions& options);
  size_t max_drafts() const override { return options_.max_drafts; }
  void Reset() override;
  void Observe(const float*, size_t) override {}
  // Drafts at most twice the length of the match. The confidence of a match of m tokens is
  // m / (m + 1).
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts& more) override;
  // Length of the match behind the last proposal; 0: there was none.
  size_t matched() const { return matched_; }

 private:
  void Index(std::span<const TokenId> sequence);
  const NgramOptions options_;
  // Occurrences of min_match tokens, by their end (the index after the last token). They form lists
  // by hash, newest first.
  std::unordered_map<uint64_t, uint32_t> latest_;  // hash -> newest end
  std::vector<uint32_t> earlier_;                  // end -> next older end of the same hash
  size_t matched_ = 0;
};

}  // namespace mach::spec
