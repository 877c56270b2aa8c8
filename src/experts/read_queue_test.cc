#include "experts/read_queue.h"

#include <gtest/gtest.h>

namespace mach::experts {
namespace {

constexpr ExpertKey kNoKey = ~ExpertKey{0};

class ReadQueueTest : public testing::Test {
 protected:
  void Begin(const ReadQueue::Limits& limits, std::initializer_list<ExpertKey> demand,
             std::initializer_list<ExpertKey> prefetches = {}) {
    queue_.SetLimits(limits);
    queue_.Clear();
    uint32_t index = 0;
    for (const ExpertKey key : demand) queue_.AddDemand({key, index++});
    queue_.HoldLast();
    for (const ExpertKey key : prefetches) queue_.AddPrefetch(key);
  }
  ExpertKey Demand(size_t demand, size_t total) const {
    const ReadQueue::Demand* next = queue_.NextDemand({demand, total});
    return next != nullptr ? next->key : kNoKey;
  }
  ExpertKey Prefetch(size_t demand, size_t total) const {
    const ExpertKey* next = queue_.NextPrefetch({demand, total});
    return next != nullptr ? *next : kNoKey;
  }

  ReadQueue queue_{8};
};

TEST_F(ReadQueueTest, NothingBeginsBeforeThereIsAPass) {
  queue_.AddDemand({3, 0});
  EXPECT_EQ(Demand(0, 0), kNoKey);
}

TEST_F(ReadQueueTest, DemandComesInItsOrderAndBeforePrefetches) {
  Begin({.demand = 4, .prefetch = 4, .total = 4}, {7, 2}, {9, 8});
  EXPECT_EQ(Demand(0, 0), 7u);
  EXPECT_EQ(Demand(0, 0), 7u) << "until it has begun";
  EXPECT_EQ(queue_.NextDemand({})->index, 0u);
  EXPECT_EQ(Prefetch(0, 0), kNoKey);
  queue_.DemandStarted();
  EXPECT_EQ(Demand(1, 1), 2u);
  EXPECT_EQ(queue_.NextDemand({})->index, 1u);
  EXPECT_EQ(Prefetch(0, 0), kNoKey) << "not all demand has begun";
  queue_.DemandStarted();
  EXPECT_EQ(Demand(2, 2), kNoKey);
  EXPECT_TRUE(queue_.all_demand_started());
  EXPECT_EQ(queue_.demand(), 2u);
  EXPECT_EQ(Prefetch(1, 1), kNoKey) << "not all demand has landed";
  EXPECT_EQ(Prefetch(0, 0), 9u);
  queue_.PrefetchTaken();
  EXPECT_EQ(Prefetch(0, 1), 8u);
  queue_.PrefetchTaken();
  EXPECT_EQ(Prefetch(0, 2), kNoKey);
}

TEST_F(ReadQueueTest, LimitsOfReadsUnderWay) {
  Begin({.demand = 3, .prefetch = 2, .total = 5}, {1}, {2});
  EXPECT_EQ(Demand(2, 2), 1u);
  EXPECT_EQ(Demand(3, 3), kNoKey) << "the window is full";
  EXPECT_EQ(Demand(0, 4), 1u) << "prefetches do not count to it";
  EXPECT_EQ(Demand(0, 5), kNoKey) << "the reader is full";
  queue_.DemandStarted();
  EXPECT_EQ(Prefetch(0, 1), 2u);
  EXPECT_EQ(Prefetch(0, 2), kNoKey);
}

TEST_F(ReadQueueTest, PrefetchesBesideDemandWaitForItsBeginOnly) {
  Begin({.demand = 8, .prefetch = 8, .total = 8, .prefetch_beside_demand = true}, {1}, {2});
  EXPECT_EQ(Prefetch(0, 0), kNoKey);
  queue_.DemandStarted();
  EXPECT_EQ(Prefetch(1, 1), 2u);
  EXPECT_EQ(Prefetch(1, 8), kNoKey);
}

TEST_F(ReadQueueTest, TheLastReadWaitsForTheFirstLandingAfterEnoughOthers) {
  const ReadQueue::Limits limits = {.demand = 8, .prefetch = 8, .total = 8, .hold_last_after = 2};
  Begin(limits, {1, 2, 3});
  queue_.DemandStarted();
  EXPECT_EQ(Demand(1, 1), 2u);
  queue_.DemandStarted();
  EXPECT_EQ(Demand(2, 2), kNoKey);
  EXPECT_EQ(Demand(0, 0), 3u) << "nothing is under way that it could wait for";
  queue_.DemandLanded();
  EXPECT_EQ(Demand(1, 1), 3u);

  // Two of which only one comes before the last.
  Begin(limits, {1, 2});
  queue_.DemandStarted();
  EXPECT_EQ(Demand(1, 1), 2u);
}

TEST_F(ReadQueueTest, ASingleReadIsNeverHeld) {
  Begin({.demand = 8, .prefetch = 8, .total = 8, .hold_last_after = 0}, {1});
  EXPECT_EQ(Demand(1, 1), 1u) << "beside a read that was merged";
}

TEST_F(ReadQueueTest, ARepeatedReadIsDemandAgain) {
  Begin({.demand = 2, .prefetch = 2, .total = 2}, {1}, {5});
  queue_.DemandStarted();
  queue_.DemandLanded();
  queue_.AddDemand({4, 0});
  EXPECT_FALSE(queue_.all_demand_started());
  EXPECT_EQ(Prefetch(0, 0), kNoKey);
  EXPECT_EQ(Demand(0, 0), 4u);
}

TEST_F(ReadQueueTest, ClearForgetsWhatHasNotBegun) {
  Begin({.demand = 2, .prefetch = 2, .total = 2, .hold_last_after = 1}, {1, 2}, {5});
  queue_.Clear();
  EXPECT_TRUE(queue_.all_demand_started());
  EXPECT_EQ(Demand(0, 0), kNoKey);
  EXPECT_EQ(Prefetch(0, 0), kNoKey);
  queue_.AddDemand({6, 0});
  EXPECT_EQ(Demand(1, 1), 6u) << "nor is it held";
}

}  // namespace
}  // namespace mach::experts
