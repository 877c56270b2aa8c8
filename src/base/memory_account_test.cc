#include "base/memory_account.h"

#include <new>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace mach {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class MemoryAccountTest : public testing::Test {
 protected:
  std::shared_ptr<MemoryAccount> NewAccount(size_t most = 8 * kMiB) {
    return std::make_shared<MemoryAccount>(ledger_, MemoryTag::kRequests, most);
  }
  size_t Reserved() const { return ledger_->reserved(MemoryTag::kRequests); }

  std::shared_ptr<MemoryLedger> ledger_ = std::make_shared<MemoryLedger>(10 * kMiB);
};

TEST_F(MemoryAccountTest, CountsWhatAScopeAllocates) {
  const auto account = NewAccount();
  {
    const MemoryScope scope(account);
    EXPECT_EQ(MemoryScope::Current(), account);
    std::string text(3 * kMiB, 'x');
    EXPECT_GE(Reserved(), 3 * kMiB);
    EXPECT_LT(Reserved(), 3 * kMiB + (128 << 10));
    std::string().swap(text);
    EXPECT_LT(Reserved(), size_t{128} << 10);
    // Many small ones are told in steps.
    std::vector<std::unique_ptr<int>> numbers;
    for (int i = 0; i < 100'000; ++i) numbers.push_back(std::make_unique<int>(i));
    EXPECT_GE(Reserved(), 100'000 * (sizeof(int) + sizeof(void*)));
    {
      const MemoryScope uncounted(nullptr);
      const size_t before = Reserved();
      EXPECT_EQ(std::string(3 * kMiB, 'x').size(), 3 * kMiB);
      EXPECT_EQ(Reserved(), before);
      EXPECT_EQ(MemoryScope::Current(), nullptr);
    }
  }
  EXPECT_EQ(MemoryScope::Current(), nullptr);
  EXPECT_GE(account->peak_bytes(), 3 * kMiB);
  EXPECT_EQ(Reserved(), 0u);
}

TEST_F(MemoryAccountTest, AllFormsOfNewAreCounted) {
  struct alignas(128) Wide {
    char bytes[kMiB];
  };
  const auto account = NewAccount();
  const MemoryScope scope(account);
  void* volatile seen = nullptr;  // else the compiler may leave out what nobody looks at
  const auto counts = [&](auto* made, auto destroy) {
    seen = made;
    EXPECT_GE(Reserved(), kMiB);
    destroy(made);
    EXPECT_LT(Reserved(), kMiB / 2);
  };
  counts(new Wide, [](Wide* p) { delete p; });
  counts(new Wide[1], [](Wide* p) { delete[] p; });
  counts(new (std::nothrow) Wide, [](Wide* p) { delete p; });
  counts(new char[kMiB], [](char* p) { delete[] p; });
  counts(new (std::nothrow) char[kMiB], [](char* p) { delete[] p; });
  EXPECT_EQ(new (std::nothrow) char[9 * kMiB], nullptr);
}

TEST_F(MemoryAccountTest, WhatHasNoRoomThrowsAndSaysWhy) {
  const auto account = NewAccount();
  const auto other = NewAccount();
  std::string held;
  {
    const MemoryScope scope(account);
    EXPECT_EQ(account->refusal(), MemoryAccount::Refusal::kNone);
    EXPECT_THROW(held.resize(9 * kMiB), std::bad_alloc);
    EXPECT_EQ(account->refusal(), MemoryAccount::Refusal::kTooMuch);
    held.resize(6 * kMiB);
  }
  {
    const MemoryScope scope(other);
    EXPECT_THROW(std::string(5 * kMiB, 'x'), std::bad_alloc);
    EXPECT_EQ(other->refusal(), MemoryAccount::Refusal::kFull);
    const MemoryScope inner(account);
    std::string().swap(held);
  }
  const MemoryScope scope(other);
  EXPECT_EQ(std::string(5 * kMiB, 'x').size(), 5 * kMiB);
}

TEST_F(MemoryAccountTest, WorkMayGoOnElsewhereAndItsMemoryDieThere) {
  std::string text;
  {
    const auto account = NewAccount();
    {
      const MemoryScope scope(account);
      std::thread([&, account = MemoryScope::Current()] {
        const MemoryScope elsewhere(account);
        text.assign(2 * kMiB, 'x');
      }).join();
    }
    EXPECT_GE(Reserved(), 2 * kMiB);
    {
      const MemoryScope scope(account);
      std::string().swap(text);
      text.assign(kMiB, 'y');
    }
    EXPECT_GE(Reserved(), kMiB);
  }
  // The account is gone, and with it the charge for what nobody has freed.
  EXPECT_EQ(Reserved(), 0u);
  EXPECT_EQ(text.size(), kMiB);
}

TEST_F(MemoryAccountTest, FreeingWhatOthersPaidForGivesNoCreditToTheLedger) {
  std::string text(4 * kMiB, 'x');
  const auto account = NewAccount();
  const MemoryScope scope(account);
  std::string().swap(text);
  EXPECT_EQ(Reserved(), 0u);
}

TEST_F(MemoryAccountTest, TheLedgerLivesAsLongAsItsAccounts) {
  const auto account = NewAccount();
  const std::weak_ptr<MemoryLedger> ledger = ledger_;
  ledger_.reset();
  ASSERT_FALSE(ledger.expired());
  const MemoryScope scope(account);
  EXPECT_EQ(std::string(kMiB, 'x').size(), kMiB);
  EXPECT_GE(account->peak_bytes(), kMiB);
}

}  // namespace
}  // namespace mach
