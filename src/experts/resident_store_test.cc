#include "experts/resident_store.h"

#include <gtest/gtest.h>

namespace mach::experts {
namespace {

TEST(ResidentStore, HandsOutEveryExpertAtOnce) {
  MemoryLedger ledger(size_t{1} << 20);
  auto store = ResidentStore::Create(2, 3, kPageBytes, ledger);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(ledger.reserved(MemoryTag::kExperts), 6 * kPageBytes);
  for (uint32_t layer = 0; layer < 2; ++layer) {
    for (uint32_t expert = 0; expert < 3; ++expert) {
      (*store)->Record(LayerId(layer), ExpertId(expert))[0] =
          static_cast<std::byte>(10 * layer + expert);
    }
  }
  Acquisition acquired;
  const std::vector<ExpertId> ids = {ExpertId(2), ExpertId(0)};
  ASSERT_TRUE((*store)->Acquire({LayerId(1), ids}, acquired).ok());
  EXPECT_TRUE(acquired.complete());
  ASSERT_EQ(acquired.ready().size(), 2u);
  EXPECT_EQ(acquired.Bytes(0)[0], std::byte{12});
  EXPECT_EQ(acquired.Bytes(1)[0], std::byte{10});
  EXPECT_EQ(acquired.Bytes(0).size(), kPageBytes);
}

TEST(ResidentStore, IsRefusedWhatTheLedgerLacks) {
  MemoryLedger ledger(5 * kPageBytes);
  EXPECT_EQ(ResidentStore::Create(2, 3, kPageBytes, ledger).error().code, Code::kNoMemory);
  EXPECT_EQ(ledger.reserved(), 0u);
}

}  // namespace
}  // namespace mach::experts
