#include "experts/hit_rate.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace mach::experts {
namespace {

// Hits of an LRU list under draws from the law that the estimate assumes.
double Simulate(size_t experts, size_t slots) {
  std::vector<double> cumulative(experts);
  double total = 0;
  for (size_t i = 0; i < experts; ++i) {
    total += std::pow(static_cast<double>(i + 1), -1.2);
    cumulative[i] = total;
  }
  std::list<size_t> recent;
  size_t hits = 0;
  constexpr size_t kWarm = 5000;
  constexpr size_t kDraws = 40000;
  for (size_t n = 0; n < kWarm + kDraws; ++n) {
    const double u = UniformAt(7, n) * total;
    const auto drawn = static_cast<size_t>(
        std::lower_bound(cumulative.begin(), cumulative.end(), u) - cumulative.begin());
    const auto found = std::find(recent.begin(), recent.end(), drawn);
    if (found != recent.end()) {
      if (n >= kWarm) ++hits;
      recent.erase(found);
    } else if (recent.size() == slots) {
      recent.pop_back();
    }
    recent.push_front(drawn);
  }
  return static_cast<double>(hits) / kDraws;
}

TEST(HitRateTest, AgreesWithASimulatedLru) {
  for (const size_t slots : {4u, 16u, 32u, 64u}) {
    EXPECT_NEAR(EstimateHitRate(128, static_cast<double>(slots)), Simulate(128, slots), 0.02)
        << slots;
  }
}

TEST(HitRateTest, EndsAtNothingAndAtEverything) {
  EXPECT_EQ(EstimateHitRate(128, 0), 0);
  EXPECT_EQ(EstimateHitRate(0, 5), 0);
  EXPECT_EQ(EstimateHitRate(128, 128), 1);
  EXPECT_GT(EstimateHitRate(128, 127.5), 0.98);
  EXPECT_LT(EstimateHitRate(128, 0.01), 0.01);
}

TEST(HitRateTest, GrowsWithTheBank) {
  double last = 0;
  for (double slots = 1; slots < 256; slots *= 1.5) {
    const double now = EstimateHitRate(256, slots);
    EXPECT_GT(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace mach::experts
