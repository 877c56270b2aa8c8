#include "experts/reuse_distances.h"

#include <list>
#include <random>

#include <gtest/gtest.h>

namespace mach::experts {
namespace {

// The definition: a list by recency, cut to each size.
TEST(ReuseDistances, CountWhatEachBankByRecencyWouldHit) {
  constexpr size_t kKeys = 100;
  constexpr size_t kRecords = 77;  // of keys that exist: 0 to 76
  std::mt19937 random(7);
  std::geometric_distribution<uint32_t> skewed(0.05);
  ReuseDistances distances(kKeys, kRecords);
  std::array<uint64_t, ReuseDistances::kSizes> hits = {};
  std::list<ExpertKey> recent;
  uint64_t first = 0;
  constexpr size_t kUses = 20'000;  // so that moments are numbered anew many times
  for (size_t i = 0; i < kUses; ++i) {
    const ExpertKey key = skewed(random) % kRecords;
    size_t before = 0;
    auto at = recent.begin();
    while (at != recent.end() && *at != key) ++at, ++before;
    if (at == recent.end()) {
      ++first;
    } else {
      for (size_t size = 0; size < hits.size(); ++size) {
        hits[size] += before < distances.Slots(size) ? 1 : 0;
      }
      recent.erase(at);
    }
    recent.push_front(key);
    distances.OnUse(key);
  }
  EXPECT_EQ(distances.uses(), kUses);
  EXPECT_EQ(distances.first_uses(), first);
  EXPECT_GT(first, 50u);
  for (size_t size = 0; size < hits.size(); ++size) {
    EXPECT_EQ(distances.Hits(size), hits[size]) << size;
  }
  EXPECT_EQ(distances.Slots(ReuseDistances::kSizes - 1), kRecords);
  EXPECT_EQ(hits.back() + first, kUses);  // a bank that holds everything
}

// Fewer experts than sizes: a size may hold nothing.
TEST(ReuseDistances, WorksForAFewExperts) {
  ReuseDistances distances(3, 3);
  for (int i = 0; i < 100; ++i) {
    for (const ExpertKey key : {0u, 1u, 2u}) distances.OnUse(key);
  }
  EXPECT_EQ(distances.first_uses(), 3u);
  EXPECT_EQ(distances.Hits(ReuseDistances::kSizes - 1), 297u);
  EXPECT_EQ(distances.Hits(ReuseDistances::kSizes - 2), 0u);  // two slots, and a cycle of three
}

}  // namespace
}  // namespace mach::experts
