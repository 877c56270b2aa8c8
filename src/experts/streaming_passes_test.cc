// What a store reads for whole passes: large chunks of a prompt, guesses, drafts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/streaming_store_fixture_test.h"
#include "io/async_reader.h"

namespace mach::experts {
namespace {

class StreamingPassesTest : public StreamingStoreFixture {};

INSTANTIATE_TEST_SUITE_P(Modes, StreamingPassesTest,
                         testing::Values(io::ReadMode::kIoUring, io::ReadMode::kPread), NameOfMode);

TEST_P(StreamingPassesTest, LargeChunksReadEachExpertOnceAndDisplaceNothing) {
  const TestFiles files(3, 16, kBytes);
  const Harness h = Make(files.catalog(), 9);
  REQUIRE_STORE(h);
  const std::vector<uint32_t> all = First(16);
  // The bank is filled in equal shares: three of each layer, then nothing is evicted.
  for (uint64_t pass = 0; pass < 3; ++pass) {
    h.store->BeginPass({.rows = kTransientRows});
    for (uint32_t layer = 0; layer < 3; ++layer) {
      const uint64_t before = h.store->counters().reads.Get();
      EXPECT_TRUE(Use(*h.store, layer, all).ok());
      // Of its own records or, ahead of time, the next one's.
      EXPECT_LE(h.store->counters().reads.Get() - before, 32u);
    }
    EXPECT_EQ(h.store->counters().reads.Get(), 48 + pass * 39);
    EXPECT_EQ(h.store->Stats().evictions, 0u);
    EXPECT_EQ(h.store->Stats().resident, 9u);
  }
  EXPECT_EQ(h.store->counters().transient_misses.Get() + h.store->counters().transient_hits.Get(),
            3 * 48u);
  EXPECT_EQ(h.store->counters().hits.Get() + h.store->counters().misses.Get(), 0u);
  EXPECT_GT(h.store->counters().read_ahead.used.Get(), 0u);
  EXPECT_EQ(h.store->counters().read_ahead.wasted.Get(), 0u);
  h.store->TEST_CheckIdle();
}

// While the attention of the first layer computes, once chunks are known to need all of it.
TEST_P(StreamingPassesTest, TheFirstLayerOfALargeChunkIsReadAheadToo) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 2);
  REQUIRE_STORE(h);
  const std::vector<uint32_t> all = First(16);
  const auto begin = [&](size_t rows) {
    const uint64_t before = h.store->counters().read_ahead.issued.Get();
    h.store->BeginPass({.rows = rows});
    return h.store->counters().read_ahead.issued.Get() - before;
  };
  EXPECT_EQ(begin(64), 0u) << "nothing is known yet";
  EXPECT_TRUE(Use(*h.store, 0, all).ok());
  EXPECT_TRUE(Use(*h.store, 1, all).ok());
  EXPECT_EQ(begin(63), 0u) << "fewer rows may need less";
  EXPECT_EQ(begin(64), h.store->plan().staging_slots);
  EXPECT_TRUE(Use(*h.store, 0, all).ok());
  EXPECT_EQ(h.store->counters().read_ahead.wasted.Get(), 0u);
  // A chunk that needs less is no example for the next ones.
  EXPECT_TRUE(Use(*h.store, 1, {1, 2, 3}).ok());
  EXPECT_EQ(begin(64), 0u);
  EXPECT_TRUE(Use(*h.store, 0, {4}).ok());
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, ALargeChunkIsHandedOutInPartsWhileTheDiskGoesOn) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 2);
  REQUIRE_STORE(h);
  const std::vector<ExpertId> ids = Ids(First(16));
  h.store->BeginPass({.rows = kTransientRows});
  for (uint32_t layer = 0; layer < 2; ++layer) {
    Acquisition out;
    ASSERT_TRUE(h.store->Acquire({LayerId(layer), ids}, out).ok());
    size_t had = out.ready().size();
    for (; !out.complete(); had += out.ready().size()) {
      EXPECT_LE(out.ready().size(), h.store->plan().window);
      ASSERT_TRUE(h.store->Wait(out).ok());
    }
    EXPECT_EQ(had, ids.size());
  }
  EXPECT_EQ(h.store->counters().reads.Get(), 32u);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, SoIsWhatALargeChunkFindsInTheBank) {
  const TestFiles files(1, 16, kBytes);
  const Harness h = Make(files.catalog(), 9);
  REQUIRE_STORE(h);
  h.store->BeginPass({.rows = kTransientRows});
  EXPECT_TRUE(Use(*h.store, 0, First(16)).ok());
  EXPECT_EQ(h.store->Stats().resident, 9u);
  h.store->BeginPass({.rows = kTransientRows});
  Acquisition out;
  ASSERT_TRUE(h.store->Acquire({LayerId(0), Ids(First(9))}, out).ok());
  EXPECT_EQ(out.ready().size(), h.store->plan().window);
  while (!out.complete()) ASSERT_TRUE(h.store->Wait(out).ok());
  out.Clear();
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, WhatWasReadAheadInVainIsDropped) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 2);
  REQUIRE_STORE(h);
  const std::vector<uint32_t> all = First(16);
  for (int i = 0; i < 5; ++i) {
    h.store->BeginPass({.rows = kTransientRows});
    EXPECT_TRUE(Use(*h.store, 0, all).ok());
    EXPECT_TRUE(Use(*h.store, 1, {15, 14, 13}).ok());
    // And a pass that ends after the first layer.
    h.store->BeginPass({.rows = kTransientRows});
    EXPECT_TRUE(Use(*h.store, 0, all).ok());
    h.store->BeginPass({.rows = 1});
    EXPECT_TRUE(Use(*h.store, 0, {1, 2}).ok());
  }
  EXPECT_GT(h.store->counters().read_ahead.wasted.Get(), 0u);
  EXPECT_EQ(h.store->counters().read_ahead.wasted.Get() + h.store->counters().read_ahead.used.Get(),
            h.store->counters().read_ahead.issued.Get());
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, ARightGuessIsPromotedAndAWrongOneEvictsNothing) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn});
  REQUIRE_STORE(h);
  const BankCounters& c = h.store->counters();
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(h.store->WantsPredictions());
  EXPECT_TRUE(Use(*h.store, 0, {0, 1}).ok());
  EXPECT_TRUE(Use(*h.store, 1, {0, 1}).ok());  // the bank is full

  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0, 1}).ok());
  h.store->Predict(LayerId(1), Ids({7, 8, 0}));
  h.store->TEST_CheckIdle();               // both have landed
  EXPECT_EQ(c.prefetch.issued.Get(), 2u);  // 0 is there
  EXPECT_EQ(c.evictions.Get(), 0u);
  const uint64_t reads = c.reads.Get();
  const uint64_t hits = c.hits.Get();
  EXPECT_TRUE(Use(*h.store, 1, {7, 0}).ok());
  EXPECT_EQ(c.reads.Get(), reads);
  EXPECT_EQ(c.hits.Get(), hits + 2);
  EXPECT_EQ(c.prefetch.used.Get(), 1u);
  EXPECT_EQ(c.prefetch.wasted.Get(), 1u);
  EXPECT_EQ(c.evictions.Get(), 1u);  // for 7, which has been asked for

  // It stays as others do.
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0, 1}).ok());
  EXPECT_TRUE(Use(*h.store, 1, {7}).ok());
  EXPECT_EQ(c.reads.Get(), reads);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, AGuessOnItsWayIsWaitedForNotReadAgain) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn}, {.shuffle = 3});
  REQUIRE_STORE(h);
  for (uint32_t i = 0; i < 14; ++i) {
    h.store->BeginPass({.rows = 1});
    EXPECT_TRUE(Use(*h.store, 0, {i}).ok());
    h.store->Predict(LayerId(1), Ids({i, i + 1}));
    EXPECT_TRUE(Use(*h.store, 1, {i, i + 2}).ok());
  }
  h.store->BeginPass({.rows = 1});
  h.store->TEST_CheckIdle();
  const BankCounters& c = h.store->counters();
  EXPECT_GT(c.merged.Get(), 0u);
  EXPECT_EQ(c.prefetch.used.Get() + c.prefetch.wasted.Get(), c.prefetch.issued.Get());
  EXPECT_EQ(c.reads.Get(), c.misses.Get() - c.merged.Get() + c.prefetch.issued.Get());
}

TEST_P(StreamingPassesTest, AFailedGuessFailsNothing) {
  const TestFiles files(2, 16, kBytes);
  files.Damage(LayerId(1), ExpertId(7));
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn});
  REQUIRE_STORE(h);
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0}).ok());
  h.store->Predict(LayerId(1), Ids({7, 8}));
  h.store->TEST_CheckIdle();
  EXPECT_TRUE(Use(*h.store, 1, {8}).ok());
  EXPECT_EQ(h.store->counters().prefetch.wasted.Get(), 1u);
  // Verified when it is used, and read anew when it is wrong.
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0}).ok());
  h.store->Predict(LayerId(1), Ids({7}));
  h.store->TEST_CheckIdle();
  EXPECT_EQ(h.store->counters().read_failures.Get(), 0u);
  EXPECT_EQ(Use(*h.store, 1, {7}).error().code, Code::kCorrupt);
  EXPECT_EQ(h.store->counters().read_failures.Get(), 1u);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, GuessesWaitForWhatIsAskedFor) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn});
  REQUIRE_STORE(h);
  h.store->BeginPass({.rows = 1});
  Acquisition out;
  const std::vector<ExpertId> ids = Ids({0});
  ASSERT_TRUE(h.store->Acquire({LayerId(0), ids}, out).ok());
  h.store->Predict(LayerId(1), Ids({7, 8}));
  EXPECT_EQ(h.store->counters().prefetch.issued.Get(), 0u);
  ASSERT_TRUE(h.store->Wait(out).ok());
  EXPECT_EQ(h.store->counters().prefetch.issued.Get(), 2u);
  out.Clear();
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, WhatOnlyRejectedDraftsTouchedDisplacesNothing) {
  const TestFiles files(1, 32, kBytes);
  const Harness h = Make(files.catalog(), 4, {.eviction = Eviction::kLru});
  REQUIRE_STORE(h);
  const BankCounters& c = h.store->counters();
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 4u);  // the bank is full

  Draft(*h.store, {{0}, {8}, {1, 9}});
  EXPECT_EQ(c.evictions.Get(), 0u);
  h.store->Commit(2);
  h.store->TEST_CheckIdle();
  EXPECT_EQ(c.evictions.Get(), 1u);  // of 1, whose last use was in a row that went

  EXPECT_EQ(ReadsOf(*h.store, {0, 8, 2, 3}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {9}), 1u);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, ARightGuessOfADraftIsPromotedOnceItsRowStays) {
  const TestFiles files(2, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn});
  REQUIRE_STORE(h);
  const BankCounters& c = h.store->counters();
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 4u);  // the bank is full
  h.store->BeginPass({.rows = 2, .draft = true});
  const std::vector<uint32_t> begins = {0, 1};
  const auto use = [&](uint32_t layer, uint32_t expert, uint32_t row) {
    Acquisition out;
    const std::vector<uint32_t> rows = {row};
    ASSERT_TRUE(h.store->Acquire({LayerId(layer), Ids({expert}), rows, begins}, out).ok());
    while (!out.complete()) ASSERT_TRUE(h.store->Wait(out).ok());
  };
  use(0, 0, 0);
  h.store->Predict(LayerId(1), Ids({7}));
  use(1, 7, 1);
  EXPECT_EQ(c.prefetch.used.Get(), 1u);
  EXPECT_EQ(c.evictions.Get(), 0u);
  h.store->Commit(2);
  EXPECT_EQ(c.evictions.Get(), 1u);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, ADraftThatIsNeverCommittedLeavesNoTrace) {
  const TestFiles files(1, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.eviction = Eviction::kLru});
  REQUIRE_STORE(h);
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 4u);
  Draft(*h.store, {{0}, {8}});
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {8}), 1u);
  EXPECT_EQ(h.store->counters().evictions.Get(), 1u);
  h.store->TEST_CheckIdle();
}

TEST_P(StreamingPassesTest, EveryRowThatStaysIsAUse) {
  const TestFiles files(1, 16, kBytes);
  const Harness h = Make(files.catalog(), 4, {.eviction = Eviction::kLru});
  REQUIRE_STORE(h);
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 4u);
  Draft(*h.store, {{0}, {1}, {0}});  // 1 is the least recent of the two
  h.store->Commit(3);
  EXPECT_EQ(ReadsOf(*h.store, {2, 3}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {8}), 1u);
  EXPECT_EQ(ReadsOf(*h.store, {0}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {1}), 1u);
}

TEST_P(StreamingPassesTest, TimePassesByRowsThatStay) {
  const TestFiles files(1, 16, kBytes);
  const Harness h = Make(files.catalog(), 3, {.eviction = Eviction::kLfu});
  REQUIRE_STORE(h);
  for (int i = 0; i < 3; ++i) ReadsOf(*h.store, {1});
  for (int i = 0; i < 32; ++i) {
    Draft(*h.store, std::vector<std::vector<uint32_t>>(16, {0}));
    h.store->Commit(16);
  }
  EXPECT_EQ(ReadsOf(*h.store, {2}), 1u);
  EXPECT_EQ(ReadsOf(*h.store, {3}), 1u);  // for 1, whose uses are 512 tokens ago, not 32
  EXPECT_EQ(ReadsOf(*h.store, {2}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {1}), 1u);
}

TEST_P(StreamingPassesTest, ACancelledPassStopsBeforeTheNextRead) {
  const TestFiles files(1, 16, kBytes);
  const Harness h = Make(files.catalog(), 8, {}, {.shuffle = 1});
  REQUIRE_STORE(h);
  std::atomic<bool> cancelled = false;
  h.store->BeginPass({.rows = 1, .cancel = &cancelled});
  Acquisition out;
  const std::vector<ExpertId> ids = Ids({0, 1, 2, 3, 4, 5, 6, 7});
  ASSERT_TRUE(h.store->Acquire({LayerId(0), ids}, out).ok());
  cancelled = true;
  Status status = Ok();
  for (size_t waits = 0; status.ok() && !out.complete(); ++waits) {
    ASSERT_LT(waits, ids.size());
    status = h.store->Wait(out);
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kCancelled);
  out.Clear();
  h.store->TEST_CheckIdle();
  cancelled = false;
  h.store->BeginPass({.rows = 1, .cancel = &cancelled});
  EXPECT_TRUE(Use(*h.store, 0, {0, 1, 2, 3, 4, 5, 6, 7}).ok());
}

TEST_P(StreamingPassesTest, NobodyGuessesForLargeChunksOrAFullBank) {
  const TestFiles files(2, 4, kBytes);
  for (const size_t slots : {4, 8}) {
    const Harness h = Make(files.catalog(), slots, {.prefetch = Prefetch::kOn});
    REQUIRE_STORE(h);
    h.store->BeginPass({.rows = kTransientRows});
    EXPECT_FALSE(h.store->WantsPredictions());
    EXPECT_TRUE(Use(*h.store, 0, {0}).ok());
    h.store->Predict(LayerId(1), Ids({1}));
    EXPECT_EQ(
        h.store->counters().prefetch.issued.Get() + h.store->counters().read_ahead.issued.Get(),
        0u);
    h.store->BeginPass({.rows = 1});
    EXPECT_EQ(h.store->WantsPredictions(), slots == 4);
  }
}

}  // namespace
}  // namespace mach::experts
