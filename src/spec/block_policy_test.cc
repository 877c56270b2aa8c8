#include "spec/block_policy.h"

#include <functional>

#include <gmock/gmock.h>

namespace mach::spec {
namespace {

// A machine whose passes take known times, and a text whose drafts are as good as it is told.
struct World {
  double row = 0.2;         // cost of a further verify row, of a plain pass
  double draft = 0.3;       // of a draft, of a plain pass
  float confidence = 0.9f;  // of every draft
  size_t agree = 15;        // drafts that the target agrees with, of each block
  float certainty = 20;     // of the target

  // Time that a pass waits for experts, of a plain pass without.
  std::function<double(double rows)> stall = [](double) { return 0.0; };

  size_t plain = 0, drafted = 0;
  double tokens = 0, time = 0;

  void Cycle(BlockPolicy& policy, size_t most = kMaxBlock) {
    const size_t rows_wanted = policy.DraftSlots(most, certainty);
    ASSERT_GE(rows_wanted, 1u);
    ASSERT_LE(rows_wanted, most);
    const std::vector<Draft> drafts(rows_wanted - 1, Draft{1, confidence});
    const size_t rows = drafts.empty() ? 1 : policy.VerifyRows(drafts);
    ASSERT_GE(rows, 1u);
    ASSERT_LE(rows, drafts.size() + 1);
    const size_t accepted = std::min(agree, rows - 1);
    const double stalled = stall(static_cast<double>(rows));
    const double verify = 1 + row * static_cast<double>(rows - 1) + stalled;
    const double spent = drafts.empty() ? 0 : draft;
    policy.Observe({.drafted = drafts.empty() ? 0 : drafts.size() + 1,
                    .rows = rows,
                    .accepted = accepted,
                    .draft_ns = static_cast<int64_t>(spent * 1e6),
                    .verify_ns = static_cast<int64_t>(verify * 1e6),
                    .stall_ns = static_cast<int64_t>(stalled * 1e6)},
                   drafts);
    (drafts.empty() ? plain : drafted) += 1;
    tokens += static_cast<double>(accepted) + 1;
    time += verify + spent;
  }
  void Run(BlockPolicy& policy, size_t cycles) {
    plain = drafted = 0;
    tokens = time = 0;
    for (size_t i = 0; i < cycles; ++i) Cycle(policy);
  }
  double speed() const { return tokens / time; }
};

// 1 + sum of reach - V(n) / V(1), with chances that nothing has corrected yet.
TEST(Policy, VerifiesTheRowsOfTheLargestGain) {
  BlockPolicy policy({});
  const auto drafts = [](std::vector<float> confidences) {
    std::vector<Draft> made;
    for (const float c : confidences) made.push_back({1, c});
    return made;
  };
  EXPECT_EQ(policy.VerifyRows(drafts({0.1f, 0.1f})), 3u) << "no costs are known yet";
  // Until it is measured, a further row costs half a plain pass.
  policy.Observe({.verify_ns = 1000}, {});
  EXPECT_EQ(policy.VerifyRows(drafts({0.4f, 1.0f})), 1u);
  EXPECT_EQ(policy.VerifyRows(drafts({0.6f, 0.6f, 0.6f})), 2u) << "0.6, 0.36, 0.216";
  EXPECT_EQ(policy.VerifyRows(drafts({0.9f, 0.9f, 0.9f})), 4u) << "0.9, 0.81, 0.729";
  // A row that costs more than it gains, in front of rows that make up for it.
  EXPECT_EQ(policy.VerifyRows(drafts({0.9f, 0.55f, 1, 1})), 2u);
  EXPECT_EQ(policy.VerifyRows(drafts({0.49f, 1, 1, 1})), 1u);
  EXPECT_EQ(policy.VerifyRows({}), 1u);
}

TEST(Policy, WantsMoreWhileTheNextDraftCanPayForItsRow) {
  BlockPolicy policy({});
  policy.Observe({.verify_ns = 1000}, {});
  EXPECT_TRUE(policy.Wants(std::vector<Draft>(1, {1, 0.51f})));
  EXPECT_FALSE(policy.Wants(std::vector<Draft>(1, {1, 0.49f})));
  EXPECT_TRUE(policy.Wants(std::vector<Draft>(2, {1, 0.75f})));
  EXPECT_FALSE(policy.Wants(std::vector<Draft>(3, {1, 0.75f})));
}

// Two drafts that are certain gain 3 - V(3) / V(1) = 1 token, and the draft costs half of one: less
// than the token of profit that is asked for. Five gain 6 - 3.5.
TEST(Policy, ADraftMustPromiseATokenBeyondItsCost) {
  for (const size_t drafted : {2u, 5u}) {
    BlockPolicy policy({});
    policy.Observe({.verify_ns = 1000}, {});
    ASSERT_GT(policy.DraftSlots(kMaxBlock, 20), drafted);
    const std::vector<Draft> drafts(drafted, {1, 1.0f});
    const size_t rows = policy.VerifyRows(drafts);
    EXPECT_EQ(rows, drafted + 1);
    policy.Observe({.drafted = rows,
                    .rows = rows,
                    .accepted = drafted,
                    .draft_ns = 500,
                    .verify_ns = static_cast<int64_t>(500 + 500 * rows)},
                   drafts);
    EXPECT_EQ(policy.DraftSlots(kMaxBlock, 20) > 1, drafted == 5) << drafted;
    EXPECT_EQ(policy.low(), drafted != 5);
  }
}

TEST(Policy, ADraftAfterTheAnswersEndIsNotJudged) {
  const std::vector<Draft> drafts(1, {1, 0.6f});
  for (const bool cut : {true, false}) {
    BlockPolicy policy({});
    policy.Observe({.verify_ns = 1000}, {});
    for (int i = 0; i < 20; ++i) {
      policy.Observe(
          {.drafted = 2, .rows = 2, .accepted = 0, .cut = cut, .draft_ns = 1, .verify_ns = 1500},
          drafts);
    }
    EXPECT_EQ(policy.VerifyRows(drafts), cut ? 2u : 1u);
  }
}

TEST(Policy, ForcesAPlainPassAfter48Drafts) {
  BlockPolicy policy({});
  World world{.row = 0.1, .draft = 0.1, .confidence = 0.98f};
  world.Run(policy, 1);
  EXPECT_EQ(world.plain, 1u) << "the price of a plain pass is measured first";
  world.Run(policy, 48);
  EXPECT_EQ(world.drafted, 48u);
  EXPECT_FALSE(policy.low());
  world.Run(policy, 1);
  EXPECT_EQ(world.plain, 1u);
  EXPECT_FALSE(policy.low()) << "not for want of a gain";
}

TEST(Policy, FixedBlocks) {
  BlockPolicy policy({.fixed = 5});
  EXPECT_EQ(policy.DraftSlots(16, 20), 5u);
  EXPECT_EQ(policy.DraftSlots(3, 20), 3u);
  EXPECT_EQ(policy.DraftSlots(1, 20), 1u);
  EXPECT_EQ(policy.VerifyRows(std::vector<Draft>(4)), 5u);
}

TEST(Policy, LongBlocksWhereDraftsAgree) {
  BlockPolicy policy({});
  World world;
  world.Run(policy, 300);
  EXPECT_GT(world.drafted, 270u);
  EXPECT_GT(world.speed(), 3);
  EXPECT_EQ(policy.DraftSlots(16, 20), 16u);
}

TEST(Policy, PlainDecodingWhereTheyDoNot) {
  BlockPolicy policy({});
  World world{.confidence = 0.15f, .agree = 0};
  world.Run(policy, 600);
  EXPECT_GT(world.speed(), 0.98);
  EXPECT_GT(world.drafted, 2u);  // it goes on trying
  EXPECT_LT(world.drafted, 20u);
}

// Drafts that claim to be good and are not: their confidence is not believed for long.
TEST(Policy, LearnsWhatConfidenceIsWorth) {
  BlockPolicy policy({});
  World world{.confidence = 0.95f, .agree = 0};
  world.Run(policy, 100);
  world.Run(policy, 500);
  EXPECT_GT(world.speed(), 0.97);
}

// Short requests, each of which begins with hope, and dear drafts that never agree.
TEST(Policy, LossesAreBoundedWhateverIsPromised) {
  BlockPolicy policy({});
  double tokens = 0, time = 0;
  for (int request = 0; request < 100; ++request) {
    World world{.draft = 1.5, .confidence = request % 2 == 0 ? 0.97f : 0.5f, .agree = 0};
    policy.BeginRequest();
    world.Run(policy, 25);
    tokens += world.tokens;
    time += world.time;
  }
  EXPECT_GT(tokens / time, 0.98);
}

TEST(Policy, RowsThatCostAsMuchAsTokensAreNotVerified) {
  BlockPolicy policy({});
  World world{.row = 1.05, .confidence = 0.97f};
  world.Run(policy, 100);
  world.Run(policy, 500);
  EXPECT_GT(world.speed(), 0.97);
}

TEST(Policy, ComesBackWhenTheTextGetsEasy) {
  BlockPolicy policy({});
  World hard{.confidence = 0.1f, .agree = 0};
  hard.Run(policy, 500);
  World easy;
  easy.Run(policy, 400);
  EXPECT_GT(easy.speed(), 1.5);
  // And a new request need not wait for the longest wait to end.
  hard.Run(policy, 500);
  policy.BeginRequest();
  easy.Run(policy, 60);
  EXPECT_GT(easy.drafted, 5u);
}

TEST(Policy, BlocksAreAsLongAsTheirReadsAllow) {
  const std::vector<Draft> drafts(15, Draft{1, 0.8f});
  const auto rows = [&](std::function<double(double)> stall) {
    BlockPolicy policy({});
    World world{.confidence = 0.8f, .agree = 4, .stall = std::move(stall)};
    world.Run(policy, 300);
    return policy.VerifyRows(drafts);
  };
  const size_t resident = rows([](double) { return 0; });
  // Every row reads as much as the first.
  const size_t all_different = rows([](double n) { return 2 * n; });
  // Further rows read nothing: they cost less of a pass than without reads.
  const size_t all_alike = rows([](double) { return 2; });
  EXPECT_LT(all_different, resident);
  EXPECT_GT(all_alike, resident);
}

// What fails where the target doubts does not keep drafts from where it is certain, and is not
// tried at all where not even that pays.
TEST(Policy, EachDegreeOfCertaintyHasItsOwnExperience) {
  World sure;
  World unsure{.confidence = 0.3f, .agree = 0, .certainty = 1};
  BlockPolicy policy({});
  for (int i = 0; i < 400; ++i) {
    (i % 3 == 0 ? sure : unsure).Cycle(policy);
  }
  EXPECT_GT(sure.speed(), 2.5);
  EXPECT_GT(unsure.speed(), 0.95);

  BlockPolicy dear({});
  World poor{.draft = 3, .confidence = 0.3f, .agree = 0};
  World worse{.draft = 3, .confidence = 0.3f, .agree = 0, .certainty = 5};
  for (int i = 0; i < 400; ++i) {
    poor.Cycle(dear);
    worse.Cycle(dear);
  }
  EXPECT_GT(poor.drafted, 0u);
  EXPECT_EQ(worse.drafted, 0u);
}

// Where drafts usually gain much, a text in which they do not is left alone after a few of them;
// the next text is drafted again.
TEST(Policy, ATextWhoseDraftsFailIsLeftAlone) {
  BlockPolicy policy({});
  World easy;
  easy.Run(policy, 100);
  policy.BeginRequest();
  World hard{.draft = 1.5, .confidence = 0.05f, .agree = 0};
  hard.Run(policy, 60);
  EXPECT_GE(hard.drafted, 1u);
  EXPECT_LE(hard.drafted, 3u);
  policy.BeginRequest();
  easy.Run(policy, 20);
  EXPECT_GT(easy.drafted, 17u);
  // A long text may get easier.
  policy.BeginRequest();
  hard.Run(policy, 150);
  easy.Run(policy, 300);
  EXPECT_GT(easy.drafted, 150u);
}

TEST(Policy, DraftsThatNobodyWouldReachAreNotWanted) {
  BlockPolicy policy({});
  const std::vector<Draft> likely(4, Draft{1, 0.95f});
  const std::vector<Draft> unlikely(4, Draft{1, 0.4f});
  EXPECT_TRUE(policy.Wants(unlikely)) << "no costs are known yet";
  World world{.row = 0.3, .confidence = 0.9f, .agree = 9};
  world.Run(policy, 100);
  EXPECT_TRUE(policy.Wants(likely));
  EXPECT_FALSE(policy.Wants(unlikely));
  EXPECT_TRUE(BlockPolicy({.fixed = 16}).Wants(unlikely));
}

TEST(Policy, TheSameTimesGiveTheSameBlocks) {
  BlockPolicy a({}), b({});
  World wa, wb;
  for (size_t i = 0; i < 200; ++i) {
    wa.agree = wb.agree = i * 7 % 16;
    wa.Cycle(a);
    wb.Cycle(b);
  }
  EXPECT_EQ(wa.tokens, wb.tokens);
  EXPECT_EQ(wa.time, wb.time);
}

}  // namespace
}  // namespace mach::spec
