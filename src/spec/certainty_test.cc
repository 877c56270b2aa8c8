#include "spec/certainty.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(LogitMargin, IsTheDistanceToTheHighestOther) {
  // Long enough for whole vectors on both sides of the token.
  std::vector<float> logits(200, -1);
  logits[100] = 7;
  EXPECT_EQ(LogitMargin(logits, 100), 8);
  for (const size_t other : {0u, 31u, 32u, 99u, 101u, 132u, 199u}) {
    logits[other] = 5;
    EXPECT_EQ(LogitMargin(logits, 100), 2) << other;
    EXPECT_EQ(LogitMargin(logits, static_cast<TokenId>(other)), -2) << other;
    logits[other] = -1;
  }
}

TEST(LogitMargin, FirstAndLastTokens) {
  const std::vector<float> logits = {3, 1, 2.5f};
  EXPECT_EQ(LogitMargin(logits, 0), 0.5f);
  EXPECT_EQ(LogitMargin(logits, 2), -0.5f);
  EXPECT_EQ(LogitMargin(std::vector<float>{1}, 0), std::numeric_limits<float>::infinity());
}

TEST(Certainty, IsTheLeastOfThreeAtFirst) {
  Certainty c;
  EXPECT_EQ(c.Value(), 20);
  c.Observe(8);
  EXPECT_FLOAT_EQ(c.Value(), 8);
  c.Begin();
  EXPECT_EQ(c.Value(), 20);
}

TEST(Certainty, OneDoubtWeighsLittleInACertainText) {
  Certainty certain, doubtful;
  for (int i = 0; i < 30; ++i) {
    certain.Observe(14);
    doubtful.Observe(i % 3 == 0 ? 3.0f : 14.0f);
  }
  EXPECT_FLOAT_EQ(certain.Value(), 14);
  EXPECT_FLOAT_EQ(doubtful.Value(), 3) << "of any three tokens one is doubtful";
  certain.Observe(3);
  EXPECT_GT(certain.Value(), 9);
  EXPECT_LT(certain.Value(), 14);
  // What lies far above all others lies no farther than anything.
  for (int i = 0; i < 100; ++i) certain.Observe(1000);
  EXPECT_NEAR(certain.Value(), 20, 0.1);
  // And the recent counts more than what was long ago.
  for (int i = 0; i < 60; ++i) certain.Observe(3);
  EXPECT_LT(certain.Value(), 4);
}

}  // namespace
}  // namespace mach::spec
