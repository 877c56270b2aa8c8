#include "experts/bank.h"

#include <gtest/gtest.h>

#include "experts/files_test.h"

namespace mach::experts {
namespace {

class BankTest : public testing::Test {
 protected:
  std::unique_ptr<Bank> Make(const BankOptions& options) {
    auto bank = Bank::Create(catalog_, options, ledger_, counters_);
    EXPECT_TRUE(bank.ok());
    return *std::move(bank);
  }
  // Claims, lands and uses.
  uint32_t Load(Bank& bank, ExpertKey key) {
    bank.OnVisit(catalog_.LayerOf(key));
    bank.OnUse(key);
    const auto slot = bank.Claim(key);
    EXPECT_TRUE(slot.has_value());
    bank.slots().Landed(*slot);
    bank.TEST_CheckConsistency();
    return *slot;
  }
  // The staged expert's bytes come for an acquisition, which holds it until UnwantVerified.
  static void Stage(Bank& bank, uint32_t slot) {
    bank.slots().Want(slot, 0);
    bank.slots().Landed(slot);
    bank.slots().Verified(slot);
    bank.slots().RemoveToVerify(1);
    bank.TEST_CheckConsistency();
  }
  const Catalog catalog_ = PageCatalog(2, 8);
  MemoryLedger ledger_{size_t{1} << 20};
  BankCounters counters_;
};

TEST_F(BankTest, ReservesWhatItHolds) {
  {
    const auto bank = Make({.slots = 5, .staging_slots = 3});
    EXPECT_EQ(ledger_.reserved(MemoryTag::kExperts), 5 * kPageBytes);
    EXPECT_EQ(ledger_.reserved(MemoryTag::kStaging), 3 * kPageBytes);
    for (uint32_t slot = 0; slot < 8; ++slot) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(bank->Memory(slot).data()) % kPageBytes, 0u);
    }
  }
  EXPECT_EQ(ledger_.reserved(), 0u);
  MemoryLedger small(7 * kPageBytes);
  EXPECT_EQ(Bank::Create(catalog_, {.slots = 5, .staging_slots = 3}, small, counters_).error().code,
            Code::kNoMemory);
  EXPECT_EQ(small.reserved(), 0u);
}

TEST_F(BankTest, EndsWithAWholeHugePage) {
  const Catalog catalog = PageCatalog(2, 512);
  MemoryLedger ledger(size_t{8} << 20);
  const auto bank = Bank::Create(catalog, {.slots = 500, .staging_slots = 100}, ledger, counters_);
  ASSERT_TRUE(bank.ok());
  EXPECT_EQ((*bank)->memory().size(), 2 * kHugePageBytes);
  EXPECT_EQ(ledger.reserved(MemoryTag::kExperts), 500 * kPageBytes);
  EXPECT_EQ(ledger.reserved(MemoryTag::kStaging), 2 * kHugePageBytes - 500 * kPageBytes);
}

TEST_F(BankTest, EvictsWhenFullAndOnlyThen) {
  const auto bank = Make({.slots = 2, .eviction = Eviction::kLru});
  const uint32_t first = Load(*bank, 0);
  Load(*bank, 1);
  EXPECT_EQ(counters_.evictions.Get(), 0u);
  EXPECT_EQ(bank->ClaimFree(2), std::nullopt);
  EXPECT_EQ(Load(*bank, 2), first);
  EXPECT_EQ(counters_.evictions.Get(), 1u);
  EXPECT_EQ(counters_.resident.Get(), 2u);
  EXPECT_EQ(bank->slots().Find(0), std::nullopt);
  EXPECT_EQ(bank->slots().Find(2), first);
}

TEST_F(BankTest, WhatIsPinnedOrLoadingStays) {
  const auto bank = Make({.slots = 3, .eviction = Eviction::kLru});
  const uint32_t a = Load(*bank, 0);
  const uint32_t b = Load(*bank, 1);
  bank->slots().Pin(a);
  bank->slots().Pin(a);
  bank->slots().Pin(b);
  EXPECT_EQ(bank->slots().pinned(), 2u);
  ASSERT_TRUE(bank->Claim(2).has_value());  // loading
  EXPECT_EQ(bank->Claim(3), std::nullopt);
  bank->slots().Unpin(a);
  EXPECT_EQ(bank->Claim(3), std::nullopt);
  bank->slots().Unpin(a);
  EXPECT_EQ(bank->Claim(3), a);
  EXPECT_EQ(bank->Claim(4), std::nullopt);
  bank->slots().Landed(*bank->slots().Find(2));
  EXPECT_NE(bank->Claim(4), std::nullopt);
  bank->slots().Unpin(b);
  bank->TEST_CheckConsistency();
}

TEST_F(BankTest, StagedExpertsDisplaceNothingAndLeaveAfterUse) {
  const auto bank = Make({.slots = 1, .staging_slots = 1});
  const uint32_t kept = Load(*bank, 0);
  const auto staged = bank->ClaimStaging(1);
  ASSERT_TRUE(staged.has_value());
  EXPECT_EQ(bank->ClaimStaging(2), std::nullopt);
  Stage(*bank, *staged);
  bank->slots().UnwantVerified();
  EXPECT_EQ(bank->slots().Find(1), std::nullopt);
  EXPECT_EQ(bank->slots().Find(0), kept);
  EXPECT_NE(bank->ClaimStaging(2), std::nullopt);
  bank->TEST_CheckConsistency();
}

TEST_F(BankTest, PromotingMovesNoBytes) {
  const auto bank = Make({.slots = 1, .staging_slots = 1});
  Load(*bank, 0);
  const uint32_t staged = *bank->ClaimStaging(1);
  Stage(*bank, staged);
  EXPECT_TRUE(bank->Promote(staged));
  bank->slots().UnwantVerified();
  EXPECT_EQ(bank->slots().Find(1), staged);
  EXPECT_TRUE(bank->slots()[staged].resident);
  EXPECT_EQ(bank->slots().Find(0), std::nullopt);
  bank->TEST_CheckConsistency();
  // Nobody may leave: it stays staged.
  bank->slots().Pin(staged);
  const uint32_t other = *bank->ClaimStaging(2);
  EXPECT_FALSE(bank->Promote(other));
  bank->slots().Unpin(staged);
  EXPECT_TRUE(bank->Promote(other));  // loading still
  bank->TEST_CheckConsistency();
}

TEST_F(BankTest, HotExpertsStayWhateverThePolicySays) {
  const auto bank = Make({.slots = 4, .eviction = Eviction::kLru, .hot_per_layer = 1});
  Load(*bank, 3);
  for (uint64_t i = 0; i < HotPins::kRefreshVisits; ++i) {
    bank->OnVisit(0);
    bank->OnUse(3);
  }
  for (ExpertKey key = 4; key < 16; ++key) Load(*bank, key);
  EXPECT_NE(bank->slots().Find(3), std::nullopt);
}

}  // namespace
}  // namespace mach::experts
