#include "experts/streaming_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/streaming_store_fixture_test.h"

namespace mach::experts {
namespace {

using testing::HasSubstr;

class StreamingStoreTest : public StreamingStoreFixture {};

INSTANTIATE_TEST_SUITE_P(Modes, StreamingStoreTest,
                         testing::Values(io::ReadMode::kIoUring, io::ReadMode::kPread), NameOfMode);
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
  EXPECT_EQ(h.store->counters().miss_bytes.Get(), 5 * kRecord);
  EXPECT_GT(h.store->counters().miss_ns.Get(), h.store->counters().miss_read_ns.Get());
  h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();
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
    h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();
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
      h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();

  h.reader->SetFaults({});
  EXPECT_TRUE(Use(*h.store, 1, {0, 6, 1}).ok());
  EXPECT_EQ(h.store->Stats().hits, 4u);  // 0 and 1 were there all the while
  h.store->TEST_CheckIdle();
}

// Warnings of reads that are tried again take no lines from the errors that follow them.
TEST_P(StreamingStoreTest, FailuresAreLoggedHoweverManyWarningsCameBefore) {
  const TestFiles files(1, 8, kBytes);
  const Harness h = Make(files.catalog(), 4);
  REQUIRE_STORE(h);
  testing::internal::CaptureStderr();
  constexpr int kFailures = 20;  // what the log lets through at once
  for (int i = 0; i < kFailures; ++i) {
    h.reader->SetFaults({.fail = 1, .persistent = true});
    EXPECT_FALSE(Use(*h.store, 0, {5}).ok());
  }
  const std::string log = testing::internal::GetCapturedStderr();
  int failures = 0;
  for (size_t at = 0; (at = log.find("an expert cannot be read", at)) != std::string::npos; ++at) {
    ++failures;
  }
  EXPECT_EQ(failures, kFailures);
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
    h.store->TEST_CheckIdle();
  }
  EXPECT_TRUE(Use(*h.store, 1, {2, 4}).ok());
  EXPECT_TRUE(Use(*h.store, 0, {3}).ok());
  h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();
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
  h.store->TEST_CheckIdle();
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
  auto store = MakeStreamingStore(files.catalog(), {.bank_bytes = 4 * kRecord}, *std::move(reader),
                                  ledger_, clock_);
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
  EXPECT_TRUE(refused([](Catalog& c) { c.slot_bytes += 1; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.slot_bytes = kPageBytes; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records[3].file = 2; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records[3].offset += 512; }));
  EXPECT_TRUE(refused([](Catalog& c) { c.records.assign(c.keys(), {}); }));
}

}  // namespace
}  // namespace mach::experts
