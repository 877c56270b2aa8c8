// Drafts without a drafter: what followed the last time that the text ended like this (prompt
// lookup).
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

// Silent when the end of the sequence occurs nowhere before. Memory grows with the sequence: some
// 12 bytes a token.
class NgramProposer final : public Proposer {
 public:
  explicit NgramProposer(const NgramOptions& options);
  size_t max_drafts() const override { return options_.max_drafts; }
  void Reset() override;
  void Observe(const float*, size_t) override {}
  // A longer match is believed further: at most twice its length is drafted.
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts& more) override;
  // Tokens that the match behind the last proposal had.
  size_t matched() const { return matched_; }

 private:
  void Index(std::span<const TokenId> sequence);
  const NgramOptions options_;
  std::unordered_map<uint64_t, uint32_t> latest_;  // hash of min_match tokens -> where they end
  std::vector<uint32_t> earlier_;                  // by end: the one before with the same hash
  size_t matched_ = 0;
};

}  // namespace mach::spec
