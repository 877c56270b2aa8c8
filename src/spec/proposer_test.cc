// Proposers that need no model.
#include <gmock/gmock.h>

#include "spec/combined_proposer.h"
#include "spec/ngram_proposer.h"

namespace mach::spec {
namespace {

std::vector<TokenId> Proposed(Proposer& proposer, const std::vector<TokenId>& sequence,
                              size_t most) {
  std::vector<Draft> out(most);
  out.resize(proposer.Propose(sequence, out, [](auto) { return true; }));
  std::vector<TokenId> tokens;
  for (const Draft& d : out) {
    EXPECT_GT(d.confidence, 0);
    EXPECT_LT(d.confidence, 1);
    tokens.push_back(d.token);
  }
  return tokens;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Ngram, ProposesWhatFollowed) {
  NgramProposer p({.min_match = 3, .max_drafts = 4});
  EXPECT_THAT(Proposed(p, {1, 2, 3, 4, 5, 6, 7, 9, 2, 3, 4}, 8), ElementsAre(5, 6, 7, 9));
  EXPECT_EQ(p.matched(), 3u);
  p.Reset();
  EXPECT_THAT(Proposed(p, {1, 2, 3, 4, 5, 9, 3, 4}, 8), IsEmpty());
  EXPECT_THAT(Proposed(p, {}, 8), IsEmpty());
}

TEST(Ngram, PrefersTheLongestThenTheNewest) {
  NgramProposer p({.min_match = 2, .max_drafts = 1});
  EXPECT_THAT(Proposed(p, {7, 1, 2, 50, 8, 1, 2, 60, 7, 1, 2}, 1), ElementsAre(50));
  p.Reset();
  EXPECT_THAT(Proposed(p, {1, 2, 50, 1, 2, 60, 9, 1, 2}, 1), ElementsAre(60));
}

TEST(Ngram, GoesOnRepeating) {
  NgramProposer p({.min_match = 2, .max_drafts = 15});
  EXPECT_THAT(Proposed(p, {5, 6, 5, 6, 5, 6}, 5), ElementsAre(5, 6, 5, 6, 5));
}

TEST(Ngram, GrowsWithTheSequence) {
  NgramProposer p({.min_match = 3, .max_drafts = 15});
  std::vector<TokenId> sequence;
  size_t proposed = 0;
  for (TokenId i = 0; i < 200; ++i) {
    sequence.push_back(i % 20);
    proposed += Proposed(p, sequence, 3).size();
  }
  // From the second round on.
  EXPECT_GT(proposed, 3u * 170u);
}

// Asks after four drafts whether to go on.
class Constant final : public Proposer {
 public:
  size_t max_drafts() const override { return 15; }
  void Reset() override {}
  void Observe(const float*, size_t) override {}
  size_t Propose(std::span<const TokenId>, std::span<Draft> out, const MoreDrafts& more) override {
    ++calls;
    for (Draft& d : out) d = {77, 0.5f};
    const size_t part = std::min<size_t>(out.size(), 4);
    return part == out.size() || !more(out.first(part)) ? part : out.size();
  }
  size_t calls = 0;
};

TEST(Combined, ALongMatchOverridesAndSparesTheDrafter) {
  Constant drafter;
  NgramProposer ngram({.min_match = 3, .max_drafts = 4});
  CombinedProposer p(drafter, ngram);
  std::vector<TokenId> sequence;
  for (TokenId i = 100; i < 130; ++i) sequence.push_back(i);
  EXPECT_THAT(Proposed(p, sequence, 2), ElementsAre(77, 77));
  for (TokenId i = 100; i < 105; ++i) sequence.push_back(i);
  EXPECT_THAT(Proposed(p, sequence, 2), ElementsAre(77, 77)) << "a short match is not believed";
  for (TokenId i = 105; i < 115; ++i) sequence.push_back(i);
  EXPECT_THAT(Proposed(p, sequence, 6), ElementsAre(115, 116, 117, 118, 77, 77));
  const size_t calls = drafter.calls;
  EXPECT_THAT(Proposed(p, sequence, 3), ElementsAre(115, 116, 117));
  EXPECT_EQ(drafter.calls, calls);
}

TEST(Combined, WhatIsAskedInBetweenSeesWhatTheMatchOverrode) {
  Constant drafter;
  NgramProposer ngram({.min_match = 3, .max_drafts = 3});
  CombinedProposer p(drafter, ngram);
  std::vector<TokenId> sequence;
  for (int times = 0; times < 2; ++times) {
    for (TokenId i = 100; i < 115; ++i) sequence.push_back(i);
  }
  std::vector<Draft> out(8);
  for (const bool go_on : {true, false}) {
    std::vector<TokenId> seen;
    const size_t n = p.Propose(sequence, out, [&](std::span<const Draft> so_far) {
      for (const Draft& d : so_far) seen.push_back(d.token);
      return go_on;
    });
    EXPECT_EQ(n, go_on ? 8u : 4u);
    EXPECT_THAT(seen, ElementsAre(100, 101, 102, 77));
    EXPECT_EQ(out[2].token, 102);
    EXPECT_EQ(out[3].token, 77);
  }
}

}  // namespace
}  // namespace mach::spec
