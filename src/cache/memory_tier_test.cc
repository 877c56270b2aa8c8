#include "cache/memory_tier.h"

#include <gtest/gtest.h>

#include "cache/testing/sequences.h"

namespace mach::cache {
namespace {

class MemoryTierTest : public testing::Test {
 protected:
  // A conversation's prefix: ids that begin with its own number.
  std::vector<TokenId> Prompt(TokenId conversation, size_t n) {
    std::vector<TokenId> ids = Ids(n);
    ids[0] = conversation;
    return ids;
  }
  bool Add(MemoryTier& tier, const std::string& conversation, const std::vector<TokenId>& ids,
           PrefixKind kind = PrefixKind::kMessage) {
    Fed fed = Computed(shape_, sequences_, ids);
    const size_t copies = RoundUp(shape_.RecurrentBytes(), kPageBytes) + shape_.BlockBytes();
    if (!tier.MakeRoom(copies, conversation)) return false;
    return tier.Insert(ImageOf(*fed.state, ids, tier.ledger(), kind), conversation);
  }
  bool Hit(MemoryTier& tier, const std::vector<TokenId>& ids) {
    std::vector<TokenId> longer = ids;
    longer.push_back(1);
    const MemoryTier::Found found = tier.Find(longer, ids.size());
    if (found.tokens != ids.size()) {
      tier.Miss();
      return false;
    }
    tier.Hit(*found.image);
    return true;
  }

  const StateShape shape_ = SmallShape();
  MemoryLedger sequences_{size_t{256} << 20};
};

TEST_F(MemoryTierTest, SharesBlocksOfTheSameBeginning) {
  MemoryTier tier({.max_entries = 10, .max_bytes = size_t{8} << 20});
  const std::vector<TokenId> ids = Prompt(1, 200);
  ASSERT_TRUE(Add(tier, "a", {ids.begin(), ids.begin() + 130}));
  const size_t one = tier.bytes();
  ASSERT_TRUE(Add(tier, "a", ids));
  // Two of three whole blocks are there already.
  const size_t recurrent = RoundUp(shape_.RecurrentBytes(), kPageBytes);
  EXPECT_GE(tier.bytes() - one, recurrent + 2 * shape_.BlockBytes());
  EXPECT_LT(tier.bytes() - one, recurrent + 3 * shape_.BlockBytes());
  EXPECT_TRUE(Hit(tier, ids));
  tier.Clear();
  EXPECT_EQ(tier.bytes(), 0u);
  EXPECT_EQ(sequences_.reserved(), 0u);
}

TEST_F(MemoryTierTest, StaysWithinBothBounds) {
  const size_t limit = size_t{300} << 10;
  MemoryTier tier({.max_entries = 7, .max_bytes = limit});
  size_t most = 0;
  for (TokenId i = 0; i < 60; ++i) {
    Add(tier, "c" + std::to_string(i), Prompt(i, 20 + static_cast<size_t>(i) * 7 % 300));
    EXPECT_LE(tier.entries(), 7u);
    EXPECT_LE(tier.bytes(), limit);
    most = std::max(most, tier.entries());
  }
  EXPECT_GT(most, 2u);
  EXPECT_GT(tier.evictions(), 40u);
  EXPECT_FALSE(tier.MakeRoom(limit + 1, "c"));
}

TEST_F(MemoryTierTest, TheLeastRecentlyUsedLeavesFirst) {
  MemoryTier tier({.max_entries = 3, .max_bytes = size_t{8} << 20});
  for (TokenId i = 0; i < 3; ++i) {
    ASSERT_TRUE(Add(tier, "c" + std::to_string(i), Prompt(i, 80)));
    tier.Miss();
  }
  EXPECT_TRUE(Hit(tier, Prompt(0, 80)));
  ASSERT_TRUE(Add(tier, "c3", Prompt(3, 80)));
  EXPECT_TRUE(Hit(tier, Prompt(0, 80)));
  EXPECT_FALSE(Hit(tier, Prompt(1, 80)));
  EXPECT_TRUE(Hit(tier, Prompt(2, 80)));
}

// The main conversation and its system part survive any number of side requests, each in a session
// of its own; and its own older states make room before its newest.
TEST_F(MemoryTierTest, ASideRequestDoesNotCostTheMainConversation) {
  MemoryTier tier({.max_entries = 6, .max_bytes = size_t{8} << 20});
  ASSERT_TRUE(Add(tier, "main", Prompt(1, 50), PrefixKind::kSystem));
  for (size_t turn = 1; turn <= 8; ++turn) {
    EXPECT_TRUE(Hit(tier, Prompt(1, turn == 1 ? 50 : 50 + 40 * (turn - 1))));
    ASSERT_TRUE(Add(tier, "main", Prompt(1, 50 + 40 * turn)));
  }
  EXPECT_TRUE(Hit(tier, Prompt(1, 50)));
  for (TokenId i = 0; i < 30; ++i) {
    Add(tier, "side" + std::to_string(i), Prompt(100 + i, 90));
    tier.Miss();
  }
  EXPECT_TRUE(Hit(tier, Prompt(1, 370)));
  EXPECT_TRUE(Hit(tier, Prompt(1, 50)));
}

// Protection ends: what nobody asks for any more gives way even to strangers.
TEST_F(MemoryTierTest, ProtectionDecays) {
  MemoryTier tier({.max_entries = 2, .max_bytes = size_t{8} << 20});
  for (const TokenId c : {1, 2}) {
    ASSERT_TRUE(Add(tier, "c" + std::to_string(c), Prompt(c, 80)));
    ASSERT_TRUE(Hit(tier, Prompt(c, 80)));
  }
  EXPECT_FALSE(Add(tier, "new", Prompt(3, 80)));
  for (int i = 0; i < 64; ++i) tier.Miss();
  EXPECT_TRUE(Add(tier, "new", Prompt(3, 80)));
}

TEST_F(MemoryTierTest, WhatIsAboutToLeaveIsKnownAhead) {
  MemoryTier tier({.max_entries = 4, .max_bytes = size_t{8} << 20});
  for (TokenId i = 0; i < 2; ++i) ASSERT_TRUE(Add(tier, "c" + std::to_string(i), Prompt(i, 80)));
  EXPECT_TRUE(tier.AboutToLeave(2).empty());
  for (TokenId i = 2; i < 4; ++i) ASSERT_TRUE(Add(tier, "c" + std::to_string(i), Prompt(i, 80)));
  const auto leaving = tier.AboutToLeave(2);
  ASSERT_EQ(leaving.size(), 2u);
  leaving[0]->on_disk = true;
  EXPECT_EQ(tier.AboutToLeave(4).size(), 3u);
  EXPECT_EQ(tier.NotOnDisk().size(), 3u);
  EXPECT_EQ(tier.List().size(), 4u);
}

}  // namespace
}  // namespace mach::cache
