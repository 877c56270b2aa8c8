#include "experts/draft_rows.h"

#include <gtest/gtest.h>

#include "experts/files_test.h"

namespace mach::experts {
namespace {

// One layer of eight experts, a bank of two slots and four staged ones.
class DraftRowsTest : public testing::Test {
 protected:
  DraftRowsTest() {
    auto bank = Bank::Create(catalog_, {.slots = 2, .staging_slots = 4, .eviction = Eviction::kLru},
                             ledger_, counters_);
    EXPECT_TRUE(bank.ok());
    bank_ = *std::move(bank);
    drafts_.emplace(catalog_, *bank_, 4);
  }

  // Three rows: 0 chose expert 5, 1 chose 5 and 6, 2 chose 6 and 7.
  void Request() {
    const std::vector<ExpertId> ids = {ExpertId(5), ExpertId(6), ExpertId(7)};
    const std::vector<uint32_t> rows = {0, 1, 1, 2, 2};
    const std::vector<uint32_t> begins = {0, 2, 4, 5};
    drafts_->BeginPass(3);
    drafts_->BeginLayer({LayerId(0), ids, rows, begins});
  }
  // Experts 6 and 7 were handed out of staging.
  void Stage() {
    for (const uint32_t index : {1u, 2u}) {
      const uint32_t slot = *bank_->ClaimStaging(5 + index);
      bank_->slots().Want(slot, index);
      bank_->slots().Landed(slot);
      bank_->slots().Verified(slot);
      bank_->slots().RemoveToVerify(1);
      drafts_->Hold(slot, index);
      bank_->slots().UnwantVerified();
    }
  }
  void Fill() {
    for (const ExpertKey key : {0u, 1u}) {
      bank_->OnUse(key);
      bank_->slots().Landed(*bank_->Claim(key));
    }
  }
  bool Resident(ExpertKey key) const {
    const auto slot = bank_->slots().Find(key);
    return slot && bank_->slots()[*slot].resident;
  }

  const Catalog catalog_ = PageCatalog(1, 8);
  MemoryLedger ledger_{size_t{8} << 20};
  BankCounters counters_;
  std::unique_ptr<Bank> bank_;
  std::optional<DraftRows> drafts_;
};

TEST_F(DraftRowsTest, TheFirstRowOfAnExpert) {
  EXPECT_EQ(drafts_->FirstRow(2), 0u) << "without drafts every row is certain";
  Request();
  EXPECT_EQ(drafts_->FirstRow(0), 0u);
  EXPECT_EQ(drafts_->FirstRow(1), 1u);
  EXPECT_EQ(drafts_->FirstRow(2), 2u);
  drafts_->Commit(0);
  drafts_->BeginPass(0);
  EXPECT_EQ(drafts_->FirstRow(2), 0u);
}

TEST_F(DraftRowsTest, WhatAcceptedRowsChoseBecomesResident) {
  Fill();
  Request();
  Stage();
  EXPECT_EQ(bank_->slots().pinned(), 2u);
  drafts_->Commit(2);
  EXPECT_EQ(bank_->slots().pinned(), 0u);
  EXPECT_TRUE(Resident(6));
  EXPECT_EQ(bank_->slots().Find(7), std::nullopt);
  EXPECT_EQ(counters_.evictions.Get(), 1u);
  bank_->TEST_CheckConsistency();
}

TEST_F(DraftRowsTest, RejectedRowsLeaveNoTrace) {
  Fill();
  Request();
  Stage();
  drafts_->Commit(1);
  EXPECT_EQ(bank_->slots().staged(), 0u);
  EXPECT_TRUE(Resident(0) && Resident(1));
  EXPECT_EQ(counters_.evictions.Get(), 0u);
  EXPECT_EQ(bank_->reuse()->uses(), 2u) << "the two of Fill; the first row's are the store's";
  drafts_->Commit(3);
  EXPECT_EQ(bank_->reuse()->uses(), 2u) << "a pass is committed once";
}

TEST_F(DraftRowsTest, EvictionLearnsEachAcceptedRow) {
  Request();
  drafts_->Commit(3);
  EXPECT_EQ(bank_->reuse()->uses(), 4u);  // 5 and 6 of row 1, 6 and 7 of row 2
  EXPECT_EQ(bank_->reuse()->first_uses(), 3u);
}

}  // namespace
}  // namespace mach::experts
