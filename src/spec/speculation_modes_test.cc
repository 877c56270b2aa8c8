#include "spec/speculation_modes.h"

#include <gmock/gmock.h>

namespace mach::spec {
namespace {

TEST(SpeculationModes, WithoutADrafter) {
  const SystemClock clock;
  SpeculationModes modes(nullptr, {.fixed = 8}, clock);
  EXPECT_FALSE(modes.has_drafter());
  EXPECT_EQ(modes.taps(), 0u);
  EXPECT_EQ(modes.policy_name(), "fixed-8");
  for (const Mode mode : {Mode::kAuto, Mode::kOff}) {
    const Result<Speculator*> plain = modes.For(mode);
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(*plain, nullptr);
  }
  const Result<Speculator*> dflash = modes.For(Mode::kDFlash);
  ASSERT_FALSE(dflash.ok());
  EXPECT_EQ(dflash.error().code, Code::kInvalidArgument);
  EXPECT_THAT(dflash.error().message, testing::HasSubstr("--draft-dir"));

  const Result<Speculator*> ngram = modes.For(Mode::kNgram);
  const Result<Speculator*> summary = modes.For(Mode::kSummarisation);
  const Result<Speculator*> labels = modes.For(Mode::kClassification);
  ASSERT_TRUE(ngram.ok() && summary.ok() && labels.ok());
  ASSERT_NE(*ngram, nullptr);
  EXPECT_EQ(*summary, *ngram);
  ASSERT_NE(*labels, nullptr);
  // Labels match in two tokens and have at most four drafts.
  const std::vector<TokenId> sequence = {1, 2, 3, 4, 5, 6, 7, 1, 2};
  (*labels)->BeginRequest({}, nullptr);
  EXPECT_THAT((*labels)->NextBlock(sequence, 16), testing::ElementsAre(2, 3, 4, 5, 6));
  (*ngram)->BeginRequest({}, nullptr);
  EXPECT_THAT((*ngram)->NextBlock(sequence, 16), testing::ElementsAre(2));
}

}  // namespace
}  // namespace mach::spec
