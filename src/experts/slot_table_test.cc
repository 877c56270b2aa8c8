#include "experts/slot_table.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::experts {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Knows its candidates.
class Candidates final : public EvictionPolicy {
 public:
  void OnVisit(uint32_t) override {}
  void OnUse(ExpertKey) override {}
  void OnPredict(ExpertKey) override {}
  void Add(ExpertKey key) override {
    EXPECT_TRUE(keys.insert(key).second);
    ++added;
  }
  void Remove(ExpertKey key) override { EXPECT_EQ(keys.erase(key), 1u); }
  std::optional<ExpertKey> Victim() const override { return std::nullopt; }
  std::set<ExpertKey> keys;
  size_t added = 0;
};

// Four slots for two layers of four experts.
class SlotTableTest : public testing::Test {
 protected:
  ~SlotTableTest() override { table_.TEST_CheckConsistency(); }

  uint32_t TakeResident(ExpertKey key) { return table_.Take(key, true, false); }
  uint32_t TakeStaged(ExpertKey key) { return table_.Take(key, false, false); }
  // A resident that landed when nothing waited for it.
  uint32_t Unverified(ExpertKey key) {
    const uint32_t slot = TakeResident(key);
    table_.Landed(slot);
    return slot;
  }
  // A resident that was used and let go.
  uint32_t Verified(ExpertKey key) {
    const uint32_t slot = Unverified(key);
    table_.Want(slot, 0);
    VerifyFront();
    table_.UnwantVerified();
    return slot;
  }
  void VerifyFront() {
    table_.Verified(table_.to_verify().front());
    table_.RemoveToVerify(1);
  }
  SlotState state(uint32_t slot) const { return table_[slot].state; }

  const Catalog catalog_ = {.layers = 2, .experts = 4};
  Candidates policy_;
  Counter resident_;
  PrefetchCounters prefetch_;
  SlotTable table_{catalog_, 4, policy_, resident_};
};

TEST_F(SlotTableTest, ARequestedRecordIsReadVerifiedAndPinnedUntilItIsHandedOut) {
  const uint32_t slot = TakeResident(5);
  EXPECT_EQ(table_.Find(5), slot);
  EXPECT_EQ(table_.ResidentIn(1), 1u);
  EXPECT_EQ(resident_.Get(), 1u);
  table_.Want(slot, 7);
  EXPECT_EQ(state(slot), SlotState::kReading);
  EXPECT_EQ(table_.wanted_reads(), 1u);

  table_.Landed(slot);
  EXPECT_EQ(state(slot), SlotState::kArrived);
  EXPECT_EQ(table_.wanted_reads(), 0u);
  EXPECT_THAT(table_.to_verify(), ElementsAre(slot));
  EXPECT_THAT(policy_.keys, IsEmpty()) << "nobody has used it yet";

  VerifyFront();
  EXPECT_EQ(state(slot), SlotState::kVerified);
  EXPECT_EQ(table_[slot].wanted_by, 7u);
  EXPECT_THAT(table_.verified(), ElementsAre(slot));
  EXPECT_EQ(table_[slot].pins, 1u);
  EXPECT_THAT(policy_.keys, IsEmpty());
  EXPECT_EQ(policy_.added, 1u) << "the policy has seen it come";

  table_.Pin(slot);  // of whom it is handed out to
  table_.UnwantVerified();
  EXPECT_EQ(table_.pinned(), 1u);
  table_.Unpin(slot);
  EXPECT_EQ(table_.pinned(), 0u);
  EXPECT_THAT(policy_.keys, ElementsAre(5u));
  table_.Evict(slot);
  EXPECT_EQ(table_.Find(5), std::nullopt);
  EXPECT_EQ(state(slot), SlotState::kFree);
  EXPECT_EQ(resident_.Get(), 0u);
}

TEST_F(SlotTableTest, WhatLandsUnwantedIsEvictableAndVerifiedAtItsFirstUse) {
  const uint32_t slot = Unverified(3);
  EXPECT_EQ(state(slot), SlotState::kUnverified);
  EXPECT_THAT(policy_.keys, ElementsAre(3u));
  table_.Want(slot, 0);
  EXPECT_THAT(table_.to_verify(), ElementsAre(slot));
  EXPECT_THAT(policy_.keys, IsEmpty()) << "it must stay while it is verified";
  VerifyFront();
  table_.UnwantVerified();
  EXPECT_EQ(state(slot), SlotState::kVerified);
  EXPECT_THAT(policy_.keys, ElementsAre(3u));
}

TEST_F(SlotTableTest, HotSlotsAreNeverEvictable) {
  const uint32_t slot = table_.Take(1, true, true);
  table_.Landed(slot);
  EXPECT_THAT(policy_.keys, IsEmpty());
  table_.SetHot(slot, false);
  EXPECT_THAT(policy_.keys, ElementsAre(1u));
  table_.SetHot(slot, true);
  EXPECT_THAT(policy_.keys, IsEmpty());
}

TEST_F(SlotTableTest, AStagedSlotIsFreeOnceNobodyNeedsIt) {
  // It landed when nothing waited for it.
  const uint32_t slot = TakeStaged(2);
  EXPECT_EQ(table_.staged(), 1u);
  table_.Landed(slot);
  EXPECT_EQ(table_.staged(), 0u);

  // Its last pin went.
  EXPECT_EQ(TakeStaged(2), slot);
  table_.Want(slot, 0);
  table_.Landed(slot);
  VerifyFront();
  table_.Pin(slot);
  table_.UnwantVerified();
  EXPECT_EQ(table_.Find(2), slot);
  table_.Unpin(slot);
  EXPECT_EQ(table_.Find(2), std::nullopt);

  // It was promoted before: then it stays.
  EXPECT_EQ(TakeStaged(2), slot);
  table_.Promote(slot);
  EXPECT_EQ(table_.staged(), 0u);
  EXPECT_EQ(table_.residents(), 1u);
  table_.Landed(slot);
  EXPECT_EQ(table_.Find(2), slot);
}

TEST_F(SlotTableTest, APrefetchStaysUntilItsLayerHasUsedItOrNot) {
  const uint32_t used = TakeStaged(4);
  const uint32_t wasted = TakeStaged(5);
  const uint32_t reading = TakeStaged(6);
  const uint32_t other_layer = TakeStaged(0);
  for (const uint32_t slot : {used, wasted, reading, other_layer}) {
    table_.MarkPrefetch(slot, prefetch_);
    if (slot != reading) table_.Landed(slot);
  }
  EXPECT_EQ(prefetch_.issued.Get(), 4u);
  EXPECT_EQ(table_.staged(), 4u);

  table_.Use(used);
  table_.Want(used, 0);
  table_.DropUnused(1);
  EXPECT_EQ(prefetch_.used.Get(), 1u);
  EXPECT_EQ(prefetch_.wasted.Get(), 2u);
  EXPECT_EQ(table_.Find(4), used);
  EXPECT_EQ(table_.Find(5), std::nullopt);
  EXPECT_EQ(table_.Find(6), reading) << "a slot that is read into stays";
  table_.Landed(reading);
  EXPECT_EQ(table_.Find(6), std::nullopt);

  EXPECT_TRUE(table_.HasUnused());
  table_.DropUnused(0);
  EXPECT_FALSE(table_.HasUnused());
  EXPECT_EQ(table_.Find(0), std::nullopt);
  VerifyFront();
  table_.UnwantVerified();
  EXPECT_EQ(table_.Find(4), std::nullopt);
}

TEST_F(SlotTableTest, APromotedPrefetchIsEvictable) {
  const uint32_t slot = TakeStaged(1);
  table_.MarkPrefetch(slot, prefetch_);
  table_.Landed(slot);
  EXPECT_THAT(policy_.keys, IsEmpty());
  table_.Promote(slot);
  EXPECT_THAT(policy_.keys, ElementsAre(1u));
  table_.DropUnused(0);
  EXPECT_EQ(table_.Find(1), slot) << "it stays as others do";
}

TEST_F(SlotTableTest, ARecordIsReadTwiceAtMost) {
  const uint32_t slot = TakeResident(0);
  table_.Want(slot, 3);
  table_.Landed(slot);
  EXPECT_TRUE(table_.TakeRetry(slot));
  table_.ReadingAgain(slot);
  table_.RemoveToVerify(1);
  EXPECT_EQ(state(slot), SlotState::kReading);
  EXPECT_EQ(table_[slot].wanted_by, 3u);
  EXPECT_EQ(table_.wanted_reads(), 1u);
  table_.Landed(slot);
  EXPECT_FALSE(table_.TakeRetry(slot));
  table_.Discard(slot);
  table_.RemoveToVerify(1);
  EXPECT_EQ(table_.Find(0), std::nullopt);
  EXPECT_TRUE(table_.TakeRetry(TakeResident(0))) << "another read has a retry of its own";
}

TEST_F(SlotTableTest, DiscardFreesASlotInEveryState) {
  const uint32_t reading = TakeResident(0);
  table_.Want(reading, 0);
  table_.Discard(reading);
  EXPECT_EQ(table_.wanted_reads(), 0u);

  const uint32_t prefetched = TakeStaged(1);
  table_.MarkPrefetch(prefetched, prefetch_);
  table_.Discard(prefetched);
  EXPECT_EQ(prefetch_.wasted.Get(), 1u);

  const uint32_t unverified = Unverified(2);
  table_.Want(unverified, 0);
  table_.Discard(unverified);
  const uint32_t staged = TakeStaged(3);
  table_.MarkPrefetch(staged, prefetch_);
  table_.Landed(staged);
  table_.Use(staged);
  table_.Want(staged, 1);
  table_.Discard(staged);  // freed by the end of its want
  table_.RemoveToVerify(2);
  EXPECT_EQ(table_.residents() + table_.staged() + table_.pinned(), 0u);
  EXPECT_THAT(policy_.keys, IsEmpty());
}

TEST_F(SlotTableTest, AnAbandonedRequestLeavesNothingWantedOrPinned) {
  const uint32_t hit = Verified(1);
  const uint32_t found = Unverified(2);
  const uint32_t arrived = TakeStaged(3);
  const uint32_t reading = TakeResident(4);
  uint32_t index = 0;
  for (const uint32_t slot : {hit, found, arrived, reading}) table_.Want(slot, index++);
  table_.Landed(arrived);
  table_.TEST_CheckConsistency();
  EXPECT_THAT(table_.to_verify(), ElementsAre(found, arrived));

  table_.UnwantAll();
  EXPECT_EQ(table_.pinned(), 0u);
  EXPECT_THAT(table_.to_verify(), IsEmpty());
  EXPECT_EQ(state(hit), SlotState::kVerified);
  EXPECT_EQ(state(found), SlotState::kUnverified);
  EXPECT_EQ(table_.Find(3), std::nullopt) << "nobody needs the staged one";
  EXPECT_EQ(state(reading), SlotState::kReading);
  table_.Landed(reading);
  EXPECT_EQ(state(reading), SlotState::kUnverified);
  EXPECT_THAT(policy_.keys, ElementsAre(1u, 2u, 4u));

  // Also what was verified and not handed out.
  table_.Want(found, 0);
  VerifyFront();
  table_.UnwantAll();
  EXPECT_EQ(table_.pinned(), 0u);
  EXPECT_THAT(table_.verified(), IsEmpty());
}

TEST_F(SlotTableTest, HitsAreTakenFromTheLast) {
  const uint32_t first = Verified(1);
  const uint32_t second = Verified(2);
  table_.Want(first, 0);
  table_.Want(second, 1);
  EXPECT_THAT(table_.to_verify(), IsEmpty());
  EXPECT_THAT(policy_.keys, IsEmpty());
  EXPECT_EQ(table_.TakeHit(), second);
  table_.Unwant(second);
  EXPECT_EQ(table_.TakeHit(), first);
  table_.Unwant(first);
  EXPECT_EQ(table_.TakeHit(), std::nullopt);
  EXPECT_THAT(policy_.keys, ElementsAre(1u, 2u));
}

}  // namespace
}  // namespace mach::experts
