#include "spec/line_fit.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(LineFit, FindsALineAndFollowsIt) {
  LineFit fit(0.5);
  EXPECT_TRUE(fit.empty());
  for (int i = 0; i < 200; ++i) fit.Add(1 + i % 16, 100.0 + 10.0 * (i % 16));
  EXPECT_NEAR(fit.At(1), 100, 3);
  EXPECT_NEAR(fit.At(16), 250, 5);
  for (int i = 0; i < 400; ++i) fit.Add(1 + i % 16, 200.0 + 40.0 * (i % 16));
  EXPECT_NEAR(fit.At(16), 800, 20);
}

TEST(LineFit, OnePlaceGivesThePriorSlopeAndOutliersAreCut) {
  LineFit fit(0.5);
  for (int i = 0; i < 50; ++i) fit.Add(1, 100);
  EXPECT_NEAR(fit.At(3), 200, 1);
  fit.Add(1, 1e9);
  EXPECT_LT(fit.At(1), 120);
}

}  // namespace
}  // namespace mach::spec
