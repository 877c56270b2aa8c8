#include "spec/speculator.h"

#include <gmock/gmock.h>

namespace mach::spec {
namespace {

using testing::ElementsAre;

class FrozenClock final : public Clock {
 public:
  int64_t NowNs() const override { return 0; }
  int64_t UnixSeconds() const override { return 0; }
};

// Proposes 101, 102, 103 and so on; asks before each draft but the first, or not at all.
class Counting final : public Proposer {
 public:
  explicit Counting(bool asks) : asks_(asks) {}
  size_t max_drafts() const override { return 15; }
  void Reset() override {}
  void Observe(const float*, size_t) override {}
  size_t Propose(std::span<const TokenId>, std::span<Draft> out, const MoreDrafts& more) override {
    size_t n = 0;
    do {
      out[n] = {static_cast<TokenId>(101 + n), 0.9f};
      ++n;
    } while (n < out.size() && (!asks_ || more(out.first(n))));
    return drafted_ = n;
  }
  size_t drafted() const { return drafted_; }

 private:
  const bool asks_;
  size_t drafted_ = 0;
};

TEST(Speculator, NothingIsVerifiedAfterAStopToken) {
  const FrozenClock clock;
  Counting proposer(false);
  Statistics statistics;
  Speculator speculator(proposer, {.fixed = 6}, clock, statistics);
  const std::vector<TokenId> sequence = {1, 2};

  speculator.BeginRequest({}, nullptr);
  EXPECT_THAT(speculator.NextBlock(sequence, 16), ElementsAre(2, 101, 102, 103, 104, 105));
  speculator.Finish(5, false, {}, nullptr);

  speculator.BeginRequest(std::vector<TokenId>{7, 103}, nullptr);
  EXPECT_THAT(speculator.NextBlock(sequence, 16), ElementsAre(2, 101, 102));
  speculator.Finish(2, true, {}, nullptr);
  EXPECT_EQ(statistics.Snapshot().drafted, 7u);

  speculator.BeginRequest(std::vector<TokenId>{101}, nullptr);
  EXPECT_THAT(speculator.NextBlock(sequence, 16), ElementsAre(2));
  speculator.Finish(0, true, {}, nullptr);
}

TEST(Speculator, NothingIsDraftedAfterAStopToken) {
  const FrozenClock clock;
  Counting proposer(true);
  Statistics statistics;
  Speculator speculator(proposer, {.fixed = 6}, clock, statistics);
  const std::vector<TokenId> sequence = {1, 2};
  speculator.BeginRequest(std::vector<TokenId>{103}, nullptr);
  EXPECT_THAT(speculator.NextBlock(sequence, 16), ElementsAre(2, 101, 102));
  EXPECT_EQ(proposer.drafted(), 3u);
  speculator.Finish(2, false, {}, nullptr);
  speculator.BeginRequest(std::vector<TokenId>{200}, nullptr);
  EXPECT_THAT(speculator.NextBlock(sequence, 16), ElementsAre(2, 101, 102, 103, 104, 105));
  speculator.Finish(5, false, {}, nullptr);
}

}  // namespace
}  // namespace mach::spec
