#include "spec/calibration.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(Calibration, BelievesTheProposerAtFirst) {
  const Calibration calibration;
  for (const float confidence : {0.0f, 0.25f, 0.97f, 1.0f}) {
    EXPECT_DOUBLE_EQ(calibration.Chance(confidence), static_cast<double>(confidence));
  }
}

// (hits + 4 q) / (trials + 4), the newest trial with weight 1 and the one before with 0.995.
TEST(Calibration, CountsTrialsOfAnIntervalAgainstFourOfTheProposer) {
  Calibration calibration;
  calibration.Observe(0.85f, true);
  calibration.Observe(0.85f, false);
  EXPECT_NEAR(calibration.Chance(0.85f), (0.995 + 4 * 0.85) / (1.995 + 4), 1e-7);
  EXPECT_NEAR(calibration.Chance(0.8f), (0.995 + 4 * 0.8) / (1.995 + 4), 1e-7) << "same interval";
  EXPECT_DOUBLE_EQ(calibration.Chance(0.9f), static_cast<double>(0.9f)) << "the next one";
  EXPECT_DOUBLE_EQ(calibration.Chance(0.79f), static_cast<double>(0.79f)) << "the one before";
}

TEST(Calibration, LearnsWhatAConfidenceIsWorthAndForgetsIt) {
  Calibration calibration;
  for (int i = 0; i < 500; ++i) calibration.Observe(0.999f, i % 4 == 0);
  EXPECT_NEAR(calibration.Chance(0.999f), 0.25, 0.03);
  for (int i = 0; i < 1000; ++i) calibration.Observe(0.999f, true);
  EXPECT_GT(calibration.Chance(0.999f), 0.98);
}

TEST(IntervalOf, LowerEdgesBelongToTheirInterval) {
  constexpr std::array<float, 3> kEdges = {1, 2, 4};
  EXPECT_EQ(IntervalOf(kEdges, 0.9f), 0u);
  EXPECT_EQ(IntervalOf(kEdges, 1), 1u);
  EXPECT_EQ(IntervalOf(kEdges, 3.9f), 2u);
  EXPECT_EQ(IntervalOf(kEdges, 4), 3u);
  EXPECT_EQ(IntervalOf(kEdges, 100), 3u);
}

}  // namespace
}  // namespace mach::spec
