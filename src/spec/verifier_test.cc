#include "spec/verifier.h"

#include <gmock/gmock.h>

#include "sample/sampler.h"
#include "spec/testing/chain_target.h"

namespace mach::spec {
namespace {

using testing::ElementsAreArray;
using testing::FloatNear;
using testing::Pointwise;

constexpr uint32_t kTaps[] = {0};

std::vector<TokenId> Greedy(const Verifier& verifier, size_t rows) {
  std::vector<TokenId> tokens;
  for (size_t r = 0; r < rows; ++r) tokens.push_back(sample::Argmax(verifier.logits(r)));
  return tokens;
}

// Row r of the last pass has the feature of the last of these tokens.
void ExpectFeature(const Verifier& verifier, size_t r, std::vector<TokenId> tokens) {
  const std::span<const float> row(verifier.features() + r * ChainTarget::kVocab,
                                   ChainTarget::kVocab);
  EXPECT_THAT(row, Pointwise(FloatNear(1e-5f), ChainTarget::Feature(tokens))) << "row " << r;
}

TEST(Verifier, PrefillForwardsAPartAndOnlyTheLastOneHasLogits) {
  ChainTarget target({});
  Verifier& v = target.verifier();
  ASSERT_TRUE(v.Prefill(std::vector<TokenId>{5, 20}, kTaps, nullptr, false, target.state()).ok());
  EXPECT_EQ(target.state().length(), 2u);
  ExpectFeature(v, 0, {5});
  ExpectFeature(v, 1, {5, 20});
  ASSERT_TRUE(v.Prefill(std::vector<TokenId>{7, 30}, kTaps, nullptr, true, target.state()).ok());
  EXPECT_EQ(target.state().length(), 4u);
  ExpectFeature(v, 1, {5, 20, 7, 30});
  EXPECT_THAT(Greedy(v, 1), ElementsAreArray({31}));
  EXPECT_EQ(target.passes(), "2 2") << "no drafts in a prompt";
}

TEST(Verifier, EveryRowOfABlockHasTheLogitsAfterItsToken) {
  ChainTarget target({});
  Verifier& v = target.verifier();
  ASSERT_TRUE(v.Prefill(std::vector<TokenId>{5}, {}, nullptr, true, target.state()).ok());
  ASSERT_TRUE(v.Verify(std::vector<TokenId>{6, 7, 40, 41}, kTaps, nullptr, target.state()).ok());
  EXPECT_THAT(Greedy(v, 4), ElementsAreArray({7, 8, 41, 42}));
  ExpectFeature(v, 0, {5, 6});
  ExpectFeature(v, 3, {5, 6, 7, 40, 41});
  EXPECT_TRUE(target.state().marked());
  EXPECT_EQ(target.passes(), "1 4d");
}

// Whatever number of rows is accepted, the next pass sees their tokens and no others.
TEST(Verifier, CommitKeepsTheAcceptedRowsAlone) {
  const std::vector<TokenId> drafts = {6, 7, 40, 41};
  for (size_t rows = 2; rows <= drafts.size(); ++rows) {
    for (size_t accepted = 1; accepted <= rows; ++accepted) {
      SCOPED_TRACE(std::to_string(accepted) + " of " + std::to_string(rows));
      ChainTarget target({});
      Verifier& v = target.verifier();
      ASSERT_TRUE(v.Prefill(std::vector<TokenId>{5}, {}, nullptr, true, target.state()).ok());
      ASSERT_TRUE(v.Verify(std::span(drafts).first(rows), {}, nullptr, target.state()).ok());
      v.Commit(accepted, target.state());
      EXPECT_EQ(target.state().length(), 1 + accepted);
      EXPECT_FALSE(target.state().marked());
      EXPECT_EQ(target.passes(), "1 " + std::to_string(rows) + "d=" + std::to_string(accepted));

      ASSERT_TRUE(v.Verify(std::vector<TokenId>{9}, kTaps, nullptr, target.state()).ok());
      std::vector<TokenId> sequence = {5, 9};
      sequence.insert(sequence.begin() + 1, drafts.begin(),
                      drafts.begin() + static_cast<std::ptrdiff_t>(accepted));
      ExpectFeature(v, 0, sequence);
    }
  }
}

TEST(Verifier, OneRowIsNoDraft) {
  ChainTarget target({});
  Verifier& v = target.verifier();
  ASSERT_TRUE(v.Prefill(std::vector<TokenId>{5}, {}, nullptr, true, target.state()).ok());
  ASSERT_TRUE(v.Verify(std::vector<TokenId>{6}, kTaps, nullptr, target.state()).ok());
  EXPECT_FALSE(target.state().marked());
  EXPECT_THAT(Greedy(v, 1), ElementsAreArray({7}));
  v.Commit(1, target.state());
  EXPECT_EQ(target.state().length(), 2u);
  EXPECT_EQ(target.passes(), "1 1=1");
}

TEST(Verifier, BlocksAreAsLongAsTheWorkspaceAllowsAndAtMostSixteen) {
  EXPECT_EQ(ChainTarget({.max_rows = 4}).verifier().max_block(), 4u);
  EXPECT_EQ(ChainTarget({.max_rows = 64}).verifier().max_block(), kMaxBlock);
  EXPECT_EQ(ChainTarget({.max_rows = 64}).verifier().max_rows(), 64u);
}

// Hidden states and taps of every row, logits of a block.
TEST(Verifier, ReservesItsScratch) {
  constexpr size_t kWidth = ChainTarget::kVocab;
  const auto reserved = [](size_t max_rows, size_t taps) {
    return ChainTarget({.max_rows = max_rows, .taps = taps}).ledger().reserved(MemoryTag::kScratch);
  };
  EXPECT_EQ(reserved(32, 3) - reserved(32, 0), 3 * 32 * kWidth * sizeof(float));
  const model::ModelConfig config = ChainTarget({}).config();
  EXPECT_EQ(Verifier::ScratchBytes(config, 32, 2),
            (32 * (1 + 2) + kMaxBlock) * kWidth * sizeof(float));
  EXPECT_EQ(Verifier::ScratchBytes(config, 4, 2), (4 * (1 + 2) + 4) * kWidth * sizeof(float));
}

TEST(Verifier, ErrorsAreTheForwardPasses) {
  const auto code = [](std::vector<TokenId> block, bool cancel, size_t context) {
    ChainTarget target({.max_rows = 4, .context = context});
    const std::atomic<bool> cancelled{cancel};
    EXPECT_TRUE(
        target.verifier().Prefill(std::vector<TokenId>{5}, {}, nullptr, true, target.state()).ok());
    const Status status = target.verifier().Verify(block, {}, &cancelled, target.state());
    return status.ok() ? std::nullopt : std::optional<Code>(status.error().code);
  };
  EXPECT_EQ(code({6, 7, 8, 9}, false, 5), std::nullopt);
  EXPECT_EQ(code({6, 7, 8, 9}, false, 4), Code::kInvalidArgument) << "no room in the context";
  EXPECT_EQ(code({6, 7}, true, 256), Code::kCancelled);
  EXPECT_EQ(code({6, ChainTarget::kPoison}, false, 256), Code::kNonFinite);
}

}  // namespace
}  // namespace mach::spec
