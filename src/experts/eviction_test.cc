#include "experts/eviction.h"

#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "experts/hot_pins.h"
#include "experts/indexed_heap.h"

namespace mach::experts {
namespace {

TEST(IndexedHeap, AgreesWithASet) {
  constexpr uint32_t kIds = 50;
  IndexedHeap<uint32_t> heap(kIds);
  std::set<std::pair<uint32_t, uint32_t>> expected;
  std::vector<uint32_t> rank(kIds);
  for (uint64_t step = 0; step < 20000; ++step) {
    const auto id = static_cast<uint32_t>(UniformAt(1, step) * kIds);
    // Distinct ranks, so that the top is one.
    const auto next = static_cast<uint32_t>(UniformAt(2, step) * 1000) * kIds + id;
    if (heap.Contains(id)) expected.erase({rank[id], id});
    if (heap.Contains(id) && UniformAt(3, step) < 0.5) {
      heap.Remove(id);
    } else {
      heap.Set(id, next);
      rank[id] = next;
      expected.insert({next, id});
    }
    ASSERT_EQ(heap.size(), expected.size());
    if (expected.empty()) continue;
    ASSERT_EQ(heap.top(), expected.begin()->second);
  }
}

// Takes victims until none is left.
std::vector<ExpertKey> Order(EvictionPolicy& policy) {
  std::vector<ExpertKey> order;
  while (const auto victim = policy.Victim()) {
    order.push_back(*victim);
    policy.Remove(*victim);
  }
  return order;
}

// One pass over layers of four experts, using expert uses[l] of each layer l.
void Pass(EvictionPolicy& policy, const std::vector<std::vector<uint32_t>>& uses) {
  for (uint32_t layer = 0; layer < uses.size(); ++layer) {
    policy.OnVisit(layer);
    for (const uint32_t e : uses[layer]) policy.OnUse(layer * 4 + e);
  }
}

using Keys = std::vector<ExpertKey>;

TEST(Eviction, NamesComeBack) {
  for (const Eviction e : {Eviction::kLookahead, Eviction::kLru, Eviction::kLfu}) {
    EXPECT_EQ(EvictionFromName(EvictionName(e)), e);
  }
  EXPECT_EQ(EvictionFromName("random"), std::nullopt);
}

TEST(Eviction, NoVictimWithoutCandidates) {
  for (const Eviction e : {Eviction::kLookahead, Eviction::kLru, Eviction::kLfu}) {
    const auto policy = MakeEvictionPolicy(e, 2, 4, 3);
    Pass(*policy, {{0}, {1}});
    EXPECT_EQ(policy->Victim(), std::nullopt);
    policy->Add(0);
    policy->Remove(0);
    EXPECT_EQ(policy->Victim(), std::nullopt);
  }
}

TEST(Eviction, LruGoesByUseWhateverTheOrderOfUnpinning) {
  const auto policy = MakeLru(2, 4);
  Pass(*policy, {{0, 1, 2}, {}});
  for (const ExpertKey key : {2u, 0u, 1u}) policy->Add(key);
  policy->OnUse(0);  // while it is a candidate
  EXPECT_EQ(Order(*policy), (Keys{1, 2, 0}));
}

TEST(Eviction, LfuKeepsWhatIsUsedOftenAndForgets) {
  const auto policy = MakeLfu(1, 4, 4);
  for (int i = 0; i < 4; ++i) Pass(*policy, {{0}});
  Pass(*policy, {{1}});
  for (const ExpertKey key : {0u, 1u}) policy->Add(key);
  EXPECT_EQ(policy->Victim(), 1u);
  for (int i = 0; i < 40; ++i) Pass(*policy, {{}});
  Pass(*policy, {{1}});
  EXPECT_EQ(policy->Victim(), 0u);
}

TEST(Eviction, FarthestLetsTheLayerJustComputedGoFirst) {
  const auto policy = MakeFarthest(3, 4);
  for (int i = 0; i < 100; ++i) Pass(*policy, {{0}, {0}, {0}});
  for (const ExpertKey key : {0u, 4u, 8u}) policy->Add(key);
  // Equally frequent; layer 1 has just been used again, layer 2 comes next.
  policy->OnVisit(0);
  policy->OnUse(0);
  policy->OnVisit(1);
  policy->OnUse(4);
  EXPECT_EQ(Order(*policy), (Keys{4, 0, 8}));
}

TEST(Eviction, FarthestWeighsFrequencyAgainstDistance) {
  const auto policy = MakeFarthest(2, 4);
  for (int i = 0; i < 8; ++i) Pass(*policy, {{0}, {i % 4 == 0 ? 1u : 0u}});
  for (const ExpertKey key : {0u, 4u, 5u}) policy->Add(key);
  // Of layer 1 the rare one; then the other of layer 1, less frequent than layer 0's.
  EXPECT_EQ(Order(*policy), (Keys{5, 4, 0}));
}

TEST(Eviction, FarthestKeepsWhatARouterPredictsUntilItsLayer) {
  const auto policy = MakeFarthest(2, 4);
  for (int i = 0; i < 8; ++i) Pass(*policy, {{0}, {0}});
  for (const ExpertKey key : {0u, 4u, 6u}) policy->Add(key);
  EXPECT_EQ(policy->Victim(), 6u);  // never used
  policy->OnPredict(6);
  EXPECT_NE(policy->Victim(), 6u);
  policy->OnVisit(1);  // it was wrong
  EXPECT_EQ(policy->Victim(), 6u);
}

TEST(HotPins, TheMostUsedOfEachLayerAndNoLongerThanThat) {
  HotPins hot(2, 4, 1);
  const auto visits = [&](uint32_t expert, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) {
      hot.OnVisit(1);
      hot.OnUse(4 + expert);
    }
  };
  visits(2, HotPins::kRefreshVisits - 1);
  EXPECT_FALSE(hot.IsHot(6));
  EXPECT_EQ(hot.OnVisit(1).size(), 1u);
  EXPECT_TRUE(hot.IsHot(6));
  EXPECT_FALSE(hot.IsHot(2));
  visits(3, 40 * HotPins::kRefreshVisits);
  EXPECT_TRUE(hot.IsHot(7));
  EXPECT_FALSE(hot.IsHot(6));
}

TEST(HotPins, NoneByDefault) {
  HotPins hot(1, 4, 0);
  for (uint64_t i = 0; i < 3 * HotPins::kRefreshVisits; ++i) {
    EXPECT_TRUE(hot.OnVisit(0).empty());
    hot.OnUse(0);
  }
  EXPECT_FALSE(hot.IsHot(0));
}

}  // namespace
}  // namespace mach::experts
