#include "spec/statistics.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(Statistics, CountsByPosition) {
  Statistics statistics;
  statistics.AddCycle(3, 2, false, false);  // two of three
  statistics.AddCycle(3, 1, true, false);   // cut after the first
  statistics.AddCycle(0, 0, false, true);
  const StatisticsSnapshot s = statistics.Snapshot();
  EXPECT_EQ(s.drafted, 6u);
  EXPECT_EQ(s.accepted, 3u);
  EXPECT_EQ(s.observed_cycles, 3u);
  EXPECT_EQ(s.low_cycles, 1u);
  EXPECT_EQ(s.reached[1], 2u);
  EXPECT_EQ(s.accepted_at[1], 2u);
  EXPECT_EQ(s.reached[2], 1u);
  EXPECT_EQ(s.reached[3], 1u);
  EXPECT_EQ(s.accepted_at[3], 0u);
  EXPECT_NEAR(s.recent_alpha, 0.5, 0.02);
}

}  // namespace
}  // namespace mach::spec
