#include "spec/cost_model.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(CostModel, BeforeBlocksAreMeasuredARowCostsHalfAPlainPass) {
  CostModel costs;
  EXPECT_FALSE(costs.measured());
  costs.ObservePass(1, 1000, 0);
  EXPECT_TRUE(costs.measured());
  EXPECT_DOUBLE_EQ(costs.VerifyNs(1), 1000);
  EXPECT_DOUBLE_EQ(costs.VerifyNs(2), 1500);
  EXPECT_DOUBLE_EQ(costs.VerifyNs(5), 3000);
  EXPECT_DOUBLE_EQ(costs.DraftNs(16), 1000) << "a draft counts as a plain pass";
}

TEST(CostModel, PlainPassesMoveSlowlyAndAnOutlierCountsThreefold) {
  CostModel costs;
  costs.ObservePass(1, 1000, 0);
  costs.ObservePass(1, 2000, 0);
  EXPECT_DOUBLE_EQ(costs.VerifyNs(1), 1100);
  costs.ObservePass(1, 1'000'000, 0);
  EXPECT_DOUBLE_EQ(costs.VerifyNs(1), 1320);
}

TEST(CostModel, ABlockCostsItsLineAndAtLeastAPlainPass) {
  CostModel costs;
  costs.ObservePass(1, 1000, 0);
  for (int i = 0; i < 200; ++i) {
    costs.ObservePass(2, 1200, 0);
    costs.ObservePass(11, 3000, 0);
  }
  EXPECT_NEAR(costs.VerifyNs(11), 3000, 20);
  EXPECT_NEAR(costs.VerifyNs(6), 2000, 20);
  EXPECT_DOUBLE_EQ(costs.VerifyNs(1), 1000);
  // Blocks that take less than a plain pass, as a line through noise may say.
  CostModel cheap;
  cheap.ObservePass(1, 1000, 0);
  for (int i = 0; i < 50; ++i) cheap.ObservePass(4, 400, 0);
  EXPECT_DOUBLE_EQ(cheap.VerifyNs(4), 1000);
}

TEST(CostModel, StallsAreKeptApartAndAdded) {
  CostModel costs;
  for (int i = 0; i < 50; ++i) {
    costs.ObservePass(1, 1500, 500);
    costs.ObservePass(4, 4000, 1500);
  }
  EXPECT_NEAR(costs.VerifyNs(1), 1500, 5);
  EXPECT_NEAR(costs.VerifyNs(4), 4000, 20);
  // A stall counts as at most three expected passes of as many rows.
  CostModel outlier;
  outlier.ObservePass(1, 1000, 0);
  outlier.ObservePass(1, 1'001'000, 1'000'000);
  EXPECT_LT(outlier.VerifyNs(1), 3000);
}

TEST(CostModel, DraftsFollowTheirOwnLine) {
  CostModel costs;
  costs.ObservePass(1, 1000, 0);
  for (int i = 0; i < 200; ++i) {
    costs.ObserveDraft(4, 300);
    costs.ObserveDraft(16, 540);
  }
  EXPECT_NEAR(costs.DraftNs(4), 300, 5);
  EXPECT_NEAR(costs.DraftNs(10), 420, 5);
  EXPECT_NEAR(costs.DraftNs(16), 540, 5);
}

}  // namespace
}  // namespace mach::spec
