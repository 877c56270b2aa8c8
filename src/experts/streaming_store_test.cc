#include "experts/streaming_store.h"

#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/files_test.h"
#include "io/fault_reader.h"

namespace mach::experts {
namespace {

using testing::HasSubstr;

constexpr size_t kRecord = 3 * kPageBytes;
constexpr size_t kBytes = kRecord - 100;

// Steps by a millisecond at each look.
class StepClock final : public Clock {
 public:
  int64_t NowNs() const override { return now_ += 1000000; }
  int64_t UnixSeconds() const override { return 0; }

 private:
  mutable int64_t now_ = 0;
};

struct Harness {
  std::unique_ptr<StreamingStore> store;
  io::FaultReader* reader = nullptr;  // owned by the store
};

class StreamingStoreTest : public testing::TestWithParam<io::ReadMode> {
 protected:
  // bank: in slots. Without a reader of this mode, nothing.
  Harness Make(const Catalog& catalog, size_t bank, StreamingOptions options = {},
               const io::FaultReader::Faults& faults = {}) {
    auto base = io::AsyncReader::Create(GetParam(), {.depth = 16, .threads = 2, .at_once = 3});
    if (!base) return {};
    auto reader = std::make_unique<io::FaultReader>(*std::move(base), faults);
    Harness made{.reader = reader.get()};
    options.bank_bytes = bank * catalog.record_bytes;
    if (options.staging_bytes == 0) options.staging_bytes = 6 * catalog.record_bytes;
    options.in_flight_bytes = 3 * catalog.record_bytes;
    auto store = StreamingStore::Create(catalog, options, std::move(reader), ledger_, clock_);
    EXPECT_TRUE(store.ok()) << store.error().message;
    if (store) made.store = *std::move(store);
    return made;
  }

  static std::vector<uint32_t> First(uint32_t n) {
    std::vector<uint32_t> experts(n);
    std::iota(experts.begin(), experts.end(), 0u);
    return experts;
  }
  static std::vector<ExpertId> Ids(const std::vector<uint32_t>& experts) {
    std::vector<ExpertId> ids;
    for (const uint32_t e : experts) ids.push_back(ExpertId(e));
    return ids;
  }

  // Gets experts of a layer and checks every byte of each when it is handed out, once.
  static Status Use(StreamingStore& store, uint32_t layer, const std::vector<uint32_t>& experts,
                    Acquisition& out) {
    const std::vector<ExpertId> ids = Ids(experts);
    MACH_RETURN_IF_ERROR(store.Acquire({LayerId(layer), ids}, out));
    std::set<uint32_t> seen;
    for (;;) {
      for (const uint32_t i : out.ready()) {
        EXPECT_TRUE(seen.insert(i).second);
        const ExpertKey key = store.catalog().Key(LayerId(layer), ids[i]);
        const auto bytes = out.Bytes(i);
        for (size_t b = 0; b < kBytes; ++b) {
          if (bytes[b] != TestByte(key, b)) {
            ADD_FAILURE() << "expert " << experts[i] << " byte " << b;
            break;
          }
        }
      }
      if (out.complete()) break;
      MACH_RETURN_IF_ERROR(store.Wait(out));
      EXPECT_FALSE(out.ready().empty());
    }
    EXPECT_EQ(seen.size(), ids.size());
    out.Clear();
    return Ok();
  }
  static Status Use(StreamingStore& store, uint32_t layer, const std::vector<uint32_t>& experts) {
    Acquisition out;
    return Use(store, layer, experts, out);
  }

  // Reads that a token which uses these experts of layer 0 takes.
  static uint64_t ReadsOf(StreamingStore& store, const std::vector<uint32_t>& experts) {
    const uint64_t before = store.counters().reads.Get();
    store.BeginPass({.rows = 1});
    EXPECT_TRUE(Use(store, 0, experts).ok());
    return store.counters().reads.Get() - before;
  }
  // A draft whose row r uses the experts rows[r] of layer 0, not yet committed.
  static void Draft(StreamingStore& store, const std::vector<std::vector<uint32_t>>& rows) {
    store.BeginPass({.rows = rows.size(), .draft = true});
    std::map<uint32_t, std::vector<uint32_t>> rows_of;
    for (uint32_t r = 0; r < rows.size(); ++r) {
      for (const uint32_t expert : rows[r]) rows_of[expert].push_back(r);
    }
    std::vector<ExpertId> ids;
    std::vector<uint32_t> users;
    std::vector<uint32_t> begins = {0};
    for (const auto& [expert, of] : rows_of) {
      ids.push_back(ExpertId(expert));
      users.insert(users.end(), of.begin(), of.end());
      begins.push_back(static_cast<uint32_t>(users.size()));
    }
    Acquisition out;
    ASSERT_TRUE(store.Acquire({LayerId(0), ids, users, begins}, out).ok());
    while (!out.complete()) ASSERT_TRUE(store.Wait(out).ok());
    out.Clear();
  }

  MemoryLedger ledger_{size_t{64} << 20};
  StepClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Modes, StreamingStoreTest,
                         testing::Values(io::ReadMode::kIoUring, io::ReadMode::kPread),
                         [](const auto& p) { return std::string(io::ReadModeName(p.param)); });

#define REQUIRE_STORE(h)                                            \
  if ((h).reader == nullptr) GTEST_SKIP() << "not on this machine"; \
  ASSERT_NE((h).store, nullptr)

TEST_P(StreamingStoreTest, MissesThenHits) {
  const TestFiles files(2, 8, kBytes);
  const Harness h = Make(files.catalog(), 6);
  REQUIRE_STORE(h);
  EXPECT_TRUE(Use(*h.store, 0, {1, 5, 2}).ok());
  EXPECT_TRUE(Use(*h.store, 0, {2, 5, 7}).ok());
  EXPECT_TRUE(Use(*h.store, 1, {2}).ok());
  const BankStats stats = h.store->Stats();
  EXPECT_EQ(stats.hits, 2u);
  EXPECT_EQ(stats.misses, 5u);
  EXPECT_EQ(stats.evictions, 0u);
  EXPECT_EQ(stats.resident, 5u);
  EXPECT_EQ(stats.bytes_read, 5 * kRecord);
  EXPECT_EQ(stats.read_retries, 0u);
  EXPECT_GT(stats.stall_ms, 0);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, ABankOfEverythingNeverReadsTwice) {
  const TestFiles files(3, 8, kBytes, {1});
  const Harness h = Make(files.catalog(), 100);
  REQUIRE_STORE(h);
  EXPECT_EQ(h.store->plan().bank_slots, 16u);
  EXPECT_EQ(h.store->plan().staging_slots, 0u);
  for (const size_t rows : {size_t{1}, kTransientRows, size_t{1}}) {
    h.store->BeginPass({.rows = rows});
    for (const uint32_t layer : {0u, 2u}) {
      EXPECT_TRUE(Use(*h.store, layer, {0, 1, 2, 3, 4, 5, 6, 7}).ok());
    }
  }
  EXPECT_EQ(h.store->counters().reads.Get(), 16u);
  EXPECT_EQ(h.store->Stats().evictions, 0u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, MoreThanTheBankComesInWaves) {
  const TestFiles files(1, 12, kBytes);
  for (const size_t slots : {1, 2, 5}) {
    const Harness h = Make(files.catalog(), slots, {.transient_prefill = false});
    REQUIRE_STORE(h);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(Use(*h.store, 0, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).ok());
    }
    EXPECT_LE(h.store->Stats().resident, slots);
    h.store->CheckIdle();
  }
}

TEST_P(StreamingStoreTest, ABankThatIsPinnedElsewhereIsAnErrorNotAHang) {
  const TestFiles files(1, 8, kBytes);
  const Harness h = Make(files.catalog(), 2, {.transient_prefill = false});
  REQUIRE_STORE(h);
  {
    Acquisition held;
    ASSERT_TRUE(Use(*h.store, 0, {0, 1}).ok());
    ASSERT_TRUE(h.store->Acquire({LayerId(0), Ids({0, 1})}, held).ok());
    ASSERT_TRUE(held.complete());
    EXPECT_EQ(Use(*h.store, 0, {2}).error().code, Code::kBusy);
  }
  EXPECT_TRUE(Use(*h.store, 0, {2}).ok());
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, AnyOrderOfCompletions) {
  const TestFiles files(2, 12, kBytes);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    for (const size_t rows : {size_t{1}, kTransientRows}) {
      const Harness h = Make(files.catalog(), 7, {}, {.max_taken = 1 + seed % 3, .shuffle = seed});
      REQUIRE_STORE(h);
      for (int i = 0; i < 4; ++i) {
        h.store->BeginPass({.rows = rows});
        EXPECT_TRUE(Use(*h.store, 0, {3, 1, 4, 5, 9, 2, 6}).ok());
        EXPECT_TRUE(Use(*h.store, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).ok());
      }
      h.store->CheckIdle();
    }
  }
}

TEST_P(StreamingStoreTest, AReadErrorIsTriedAgainOnce) {
  const TestFiles files(1, 8, kBytes);
  const Harness h = Make(files.catalog(), 4, {}, {.fail = 2});
  REQUIRE_STORE(h);
  EXPECT_TRUE(Use(*h.store, 0, {0, 1, 2}).ok());
  EXPECT_EQ(h.store->Stats().read_retries, 1u);
  EXPECT_EQ(h.store->counters().read_failures.Get(), 0u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, APersistentErrorNamesTheExpertAndTheStoreGoesOn) {
  const TestFiles files(2, 8, kBytes);
  const Harness h = Make(files.catalog(), 4);
  REQUIRE_STORE(h);
  EXPECT_TRUE(Use(*h.store, 1, {0, 1}).ok());
  h.reader->SetFaults({.fail = 1, .persistent = true});
  Acquisition out;
  const Status status = Use(*h.store, 1, {0, 6, 1}, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kIo);
  EXPECT_THAT(status.error().message, HasSubstr("layer 1 expert 6 ('"));
  EXPECT_THAT(status.error().message, HasSubstr("layer-1.bin'): injected"));
  EXPECT_TRUE(out.ready().empty());
  h.store->CheckIdle();

  h.reader->SetFaults({});
  EXPECT_TRUE(Use(*h.store, 1, {0, 6, 1}).ok());
  EXPECT_EQ(h.store->Stats().hits, 4u);  // 0 and 1 were there all the while
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, AWrongChecksumIsTriedAgainThenRefused) {
  const TestFiles files(2, 8, kBytes);
  files.Damage(LayerId(1), ExpertId(3));
  const Harness h = Make(files.catalog(), 4);
  REQUIRE_STORE(h);
  for (int i = 0; i < 2; ++i) {
    const Status status = Use(*h.store, 1, {2, 3});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kCorrupt);
    EXPECT_THAT(status.error().message, HasSubstr("layer 1 expert 3 ('"));
    EXPECT_THAT(status.error().message, HasSubstr("layer-1.bin"));
    EXPECT_THAT(status.error().message, HasSubstr("checksum"));
    EXPECT_EQ(h.store->Stats().read_retries, 1u + static_cast<uint64_t>(i));
    h.store->CheckIdle();
  }
  EXPECT_TRUE(Use(*h.store, 1, {2, 4}).ok());
  EXPECT_TRUE(Use(*h.store, 0, {3}).ok());
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, AnAbandonedAcquisitionLeavesNothingPinnedAndItsReadsAreMerged) {
  const TestFiles files(2, 8, kBytes);
  const Harness h = Make(files.catalog(), 6, {}, {.shuffle = 7});
  REQUIRE_STORE(h);
  {
    Acquisition out;
    ASSERT_TRUE(h.store->Acquire({LayerId(0), Ids({0, 1, 2})}, out).ok());
  }
  EXPECT_TRUE(Use(*h.store, 0, {2, 1, 0}).ok());
  EXPECT_EQ(h.store->counters().reads.Get(), 3u);
  EXPECT_GT(h.store->counters().merged.Get(), 0u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, TheLastReadOfALayerFollowsTheFirstThatLands) {
  const TestFiles files(1, 16, kBytes);
  // Of a window of three records, what counts as a batch is less than one.
  const Harness h = Make(files.catalog(), 10);
  REQUIRE_STORE(h);
  const Counter& reads = h.store->counters().reads;
  const auto started = [&](const std::vector<uint32_t>& experts, size_t rows) {
    h.store->BeginPass({.rows = rows});
    const uint64_t before = reads.Get();
    Acquisition out;
    EXPECT_TRUE(h.store->Acquire({LayerId(0), Ids(experts)}, out).ok());
    const uint64_t after_acquire = reads.Get() - before;
    EXPECT_TRUE(h.store->Wait(out).ok());
    EXPECT_EQ(reads.Get() - before, experts.size());
    while (!out.complete()) EXPECT_TRUE(h.store->Wait(out).ok());
    return after_acquire;
  };
  EXPECT_EQ(started({0, 1, 2}, 1), 2u);
  EXPECT_EQ(started({3}, 1), 1u);
  EXPECT_EQ(started({4, 5, 6}, kTransientRows), 3u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, LargeChunksReadEachExpertOnceAndDisplaceNothing) {
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
  h.store->CheckIdle();
}

// While the attention of the first layer computes, once chunks are known to need all of it.
TEST_P(StreamingStoreTest, TheFirstLayerOfALargeChunkIsReadAheadToo) {
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
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, ALargeChunkIsHandedOutInPartsWhileTheDiskGoesOn) {
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
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, WhatWasReadAheadInVainIsDropped) {
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
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, ARightGuessIsPromotedAndAWrongOneEvictsNothing) {
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
  h.store->CheckIdle();                    // both have landed
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
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, AGuessOnItsWayIsWaitedForNotReadAgain) {
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
  h.store->CheckIdle();
  const BankCounters& c = h.store->counters();
  EXPECT_GT(c.merged.Get(), 0u);
  EXPECT_EQ(c.prefetch.used.Get() + c.prefetch.wasted.Get(), c.prefetch.issued.Get());
  EXPECT_EQ(c.reads.Get(), c.misses.Get() - c.merged.Get() + c.prefetch.issued.Get());
}

TEST_P(StreamingStoreTest, AFailedGuessFailsNothing) {
  const TestFiles files(2, 16, kBytes);
  files.Damage(LayerId(1), ExpertId(7));
  const Harness h = Make(files.catalog(), 4, {.prefetch = Prefetch::kOn});
  REQUIRE_STORE(h);
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0}).ok());
  h.store->Predict(LayerId(1), Ids({7, 8}));
  h.store->CheckIdle();
  EXPECT_TRUE(Use(*h.store, 1, {8}).ok());
  EXPECT_EQ(h.store->counters().prefetch.wasted.Get(), 1u);
  // Verified when it is used, and read anew when it is wrong.
  h.store->BeginPass({.rows = 1});
  EXPECT_TRUE(Use(*h.store, 0, {0}).ok());
  h.store->Predict(LayerId(1), Ids({7}));
  h.store->CheckIdle();
  EXPECT_EQ(h.store->counters().read_failures.Get(), 0u);
  EXPECT_EQ(Use(*h.store, 1, {7}).error().code, Code::kCorrupt);
  EXPECT_EQ(h.store->counters().read_failures.Get(), 1u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, GuessesWaitForWhatIsAskedFor) {
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
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, WhatOnlyRejectedDraftsTouchedDisplacesNothing) {
  const TestFiles files(1, 32, kBytes);
  const Harness h = Make(files.catalog(), 4, {.eviction = Eviction::kLru});
  REQUIRE_STORE(h);
  const BankCounters& c = h.store->counters();
  EXPECT_EQ(ReadsOf(*h.store, {0, 1, 2, 3}), 4u);  // the bank is full

  Draft(*h.store, {{0}, {8}, {1, 9}});
  EXPECT_EQ(c.evictions.Get(), 0u);
  h.store->Commit(2);
  h.store->CheckIdle();
  EXPECT_EQ(c.evictions.Get(), 1u);  // of 1, whose last use was in a row that went

  EXPECT_EQ(ReadsOf(*h.store, {0, 8, 2, 3}), 0u);
  EXPECT_EQ(ReadsOf(*h.store, {9}), 1u);
  h.store->CheckIdle();
}

TEST_P(StreamingStoreTest, EveryRowThatStaysIsAUse) {
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

TEST_P(StreamingStoreTest, TimePassesByRowsThatStay) {
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

TEST_P(StreamingStoreTest, ACancelledPassStopsBeforeTheNextRead) {
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
  h.store->CheckIdle();
  cancelled = false;
  h.store->BeginPass({.rows = 1, .cancel = &cancelled});
  EXPECT_TRUE(Use(*h.store, 0, {0, 1, 2, 3, 4, 5, 6, 7}).ok());
}

TEST_P(StreamingStoreTest, NobodyGuessesForLargeChunksOrAFullBank) {
  const TestFiles files(2, 4, kBytes);
  for (const size_t slots : {4, 8}) {
    const Harness h = Make(files.catalog(), slots, {.prefetch = Prefetch::kOn});
    REQUIRE_STORE(h);
    h.store->BeginPass({.rows = kTransientRows});
    EXPECT_FALSE(h.store->WantsPredictions());
    h.store->BeginPass({.rows = 1});
    EXPECT_EQ(h.store->WantsPredictions(), slots == 4);
  }
}

TEST_P(StreamingStoreTest, ABankBelowItsFloorIsRefused) {
  const TestFiles files(2, 8, kBytes);
  const auto plan = PlanStreaming(files.catalog(), {.bank_bytes = 5 * kRecord, .floor_slots = 6});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
  EXPECT_THAT(plan.error().message, HasSubstr("holds 5 experts"));
  EXPECT_THAT(plan.error().message, HasSubstr("needs 6"));
  const auto enough = PlanStreaming(files.catalog(), {.bank_bytes = 6 * kRecord, .floor_slots = 6});
  ASSERT_TRUE(enough.ok());
  EXPECT_GT(enough->staging_slots, 0u);
  const auto bare = PlanStreaming(
      files.catalog(),
      {.bank_bytes = 6 * kRecord, .transient_prefill = false, .prefetch = Prefetch::kOff});
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->staging_slots, 0u);
}

TEST_P(StreamingStoreTest, FilesThatDoNotHoldTheirRecordsAreRefused) {
  const TestFiles files(2, 8, kBytes);
  files.Truncate(1, 5 * kRecord);
  auto reader = io::AsyncReader::Create(GetParam(), {.depth = 4, .threads = 1});
  if (!reader) GTEST_SKIP() << "not on this machine";
  auto store = StreamingStore::Create(files.catalog(), {.bank_bytes = 4 * kRecord},
                                      *std::move(reader), ledger_, clock_);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, Code::kCorrupt);
  EXPECT_THAT(store.error().message, HasSubstr("layer 1 expert 5 ('"));
  EXPECT_EQ(ledger_.reserved(), 0u);
}

TEST(Catalog, WrongNumbersAreRefused) {
  const TestFiles files(2, 4, kBytes);
  ASSERT_TRUE(ValidateCatalog(files.catalog()).ok());
  const auto refused = [&](auto&& change) {
    Catalog c = files.catalog();
    change(c);
    const Status status = ValidateCatalog(c);
    return !status.ok() && status.error().code == Code::kCorrupt;
  };
  EXPECT_TRUE(refused([](Catalog& c) { c.records.pop_back(); }));
  EXPECT_TRUE(refused([](Catalog& c) { c.layers = 0; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.experts = ~size_t{0} / 2; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.record_bytes += 1; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.record_bytes = kPageBytes; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records[3].file = 2; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records[3].offset += 512; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records.assign(c.keys(), {}); }));
}

}  // namespace
}  // namespace mach::experts
