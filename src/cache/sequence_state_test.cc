#include "cache/sequence_state.h"

#include <gtest/gtest.h>

#include "cache/testing/sequences.h"

namespace mach::cache {
namespace {

constexpr size_t kPlenty = size_t{64} << 20;

// At every length: a restored sequence is the one that was computed, goes on as that does, and
// leaves what it was restored from alone.
TEST(SequenceState, RestoresAtEveryLength) {
  MemoryLedger ledger(kPlenty);
  for (const bool recurrent : {true, false}) {
    const StateShape shape = SmallShape(recurrent);
    for (size_t n = 1; n <= 2 * kBlockTokens + 1; n += n % 32 == 31 ? 1 : 10) {
      SCOPED_TRACE(n);
      const std::vector<TokenId> ids = Ids(n);
      const std::vector<TokenId> more = Ids(70, 500);
      Fed whole = Computed(shape, ledger, ids);
      const auto image = ImageOf(*whole.state, ids, ledger);
      const std::string before = ContentOf(*whole.state);

      Fed again = Computed(shape, ledger, {});
      again.state->Restore(image->blocks, image->recurrent.get(), n);
      EXPECT_EQ(ContentOf(*again.state), before);
      EXPECT_EQ(again.state->noted_from(), 0u);
      again.hash = whole.hash;
      const uint32_t hash = whole.hash;
      Feed(*again.state, more, again.hash);
      Feed(*whole.state, more, whole.hash);
      EXPECT_EQ(ContentOf(*again.state), ContentOf(*whole.state));

      Fed other = Computed(shape, ledger, {});
      other.state->Restore(image->blocks, image->recurrent.get(), n);
      EXPECT_EQ(ContentOf(*other.state), before);
      other.hash = hash + 1;
      Feed(*other.state, more, other.hash);
      EXPECT_NE(ContentOf(*other.state), ContentOf(*whole.state));
    }
  }
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST(SequenceState, WholeBlocksAreShared) {
  MemoryLedger ledger(kPlenty);
  const StateShape shape = SmallShape();
  const std::vector<TokenId> ids = Ids(3 * kBlockTokens);
  Fed first = Computed(shape, ledger, ids);
  const auto image = ImageOf(*first.state, ids, ledger);
  const size_t kv = ledger.reserved(MemoryTag::kKv);
  EXPECT_EQ(kv, 3 * shape.BlockBytes());
  Fed second = Computed(shape, ledger, {});
  second.state->Restore(image->blocks, image->recurrent.get(), ids.size());
  EXPECT_EQ(ledger.reserved(MemoryTag::kKv), kv);
  // Forgetting does not take the blocks from the others; what is its own it keeps.
  first.state->Reset();
  EXPECT_EQ(ledger.reserved(MemoryTag::kKv), kv);
  Feed(*second.state, Ids(1), second.hash);
  EXPECT_EQ(ledger.reserved(MemoryTag::kKv), kv + shape.BlockBytes());
  second.state->Reset();
  Feed(*second.state, Ids(kBlockTokens), second.hash);
  EXPECT_EQ(ledger.reserved(MemoryTag::kKv), kv + shape.BlockBytes());
}

TEST(SequenceState, ACopyThatFindsNoMemoryIsAnError) {
  const StateShape shape = SmallShape();
  MemoryLedger ledger(kPlenty);
  const std::vector<TokenId> ids = Ids(10);
  Fed fed = Computed(shape, ledger, ids);
  MemoryLedger none(0);
  EXPECT_EQ(fed.state->CopyTail(none, MemoryTag::kPrefix).error().code, Code::kNoMemory);
  EXPECT_EQ(fed.state->CopyRecurrent(none, MemoryTag::kPrefix).error().code, Code::kNoMemory);
  // The partial block of a restored sequence cannot be copied either, when it goes on.
  const auto image = ImageOf(*fed.state, ids, ledger);
  MemoryLedger little(RoundUp(shape.RecurrentBytes(), kPageBytes));
  Fed poor = Computed(shape, little, {});
  poor.state->Restore(image->blocks, image->recurrent.get(), ids.size());
  EXPECT_EQ(poor.state->PrepareTokens(1).error().code, Code::kNoMemory);
  EXPECT_EQ(ContentOf(*poor.state), ContentOf(*fed.state));
}

TEST(SequenceState, NotesKnowWhereTheyBegin) {
  MemoryLedger ledger(kPlenty);
  StateShape shape = SmallShape();
  Fed fed = Computed(shape, ledger, {});
  ASSERT_TRUE(fed.state->PrepareTokens(100).ok());
  fed.state->AdvanceTokens(100);
  EXPECT_EQ(fed.state->noted_from(), 100u);
  Feed(*fed.state, Ids(100), fed.hash);
  EXPECT_EQ(fed.state->noted_from(), 100u);
  EXPECT_FALSE(fed.state->ShareBlock(0)->noted);
  EXPECT_FALSE(fed.state->ShareBlock(1)->noted);
  EXPECT_TRUE(fed.state->ShareBlock(2)->noted);
  const auto image = ImageOf(*fed.state, Ids(200), ledger);
  Fed again = Computed(shape, ledger, {});
  again.state->Restore(image->blocks, image->recurrent.get(), 200);
  EXPECT_EQ(again.state->noted_from(), 2 * kBlockTokens);
  ASSERT_TRUE(again.state->Mark(8).ok());
  ASSERT_TRUE(again.state->PrepareTokens(8).ok());
  again.state->AdvanceTokens(8);
  for (size_t r = 0; r < shape.recurrent.size(); ++r) again.state->recurrent(r).recorded = 8;
  again.state->Rollback(203);
  EXPECT_FALSE(again.state->settled());
  EXPECT_EQ(again.state->noted_from(), 203u);
  again.state->SetNoted(200, 203);
  EXPECT_EQ(again.state->noted_from(), 2 * kBlockTokens);
}

}  // namespace
}  // namespace mach::cache
