#include "experts/fetcher.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/files_test.h"
#include "io/xxh3.h"

namespace mach::experts {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// One file of a catalog whose record `key` is a page that holds the key. Reads end when told to.
class ManualReader final : public io::AsyncReader {
 public:
  io::ReadMode mode() const override { return io::ReadMode::kPread; }
  size_t depth() const override { return 6; }
  size_t in_flight() const override { return under_way.size() + done_.size(); }
  Result<uint32_t> AddFile(const std::string&) override { return 0u; }
  uint64_t FileBytes(uint32_t) const override { return size_t{1} << 20; }
  size_t RegisterBuffers(std::span<const std::span<std::byte>>) override { return 0; }
  Result<size_t> Submit(std::span<const io::ReadRequest> requests) override {
    for (const io::ReadRequest& r : requests) under_way.push_back(r);
    return requests.size();
  }
  size_t Poll(std::vector<io::ReadCompletion>& out) override { return Take(out); }
  size_t Wait(std::vector<io::ReadCompletion>& out) override {
    EXPECT_FALSE(done_.empty()) << "nobody else ends a read here";
    return Take(out);
  }

  static ExpertKey KeyOf(const io::ReadRequest& r) {
    return static_cast<ExpertKey>(r.offset / kPageBytes);
  }
  std::vector<ExpertKey> keys() const {
    std::vector<ExpertKey> keys;
    for (const io::ReadRequest& r : under_way) keys.push_back(KeyOf(r));
    return keys;
  }
  // Ends the reads of a record.
  void Land(ExpertKey key, bool right = true) {
    std::erase_if(under_way, [&](const io::ReadRequest& r) {
      if (KeyOf(r) != key) return false;
      Fill(r.destination, right ? key : key + 1);
      done_.push_back({r.tag, r.destination.size()});
      return true;
    });
  }
  void Fail(ExpertKey key) {
    std::erase_if(under_way, [&](const io::ReadRequest& r) {
      if (KeyOf(r) != key) return false;
      done_.push_back({r.tag, Error{Code::kIo, "broken"}});
      return true;
    });
  }
  static void Fill(std::span<std::byte> page, ExpertKey key) {
    std::memset(page.data(), static_cast<int>(key), page.size());
  }

  std::vector<io::ReadRequest> under_way;

 private:
  size_t Take(std::vector<io::ReadCompletion>& out) {
    const size_t n = done_.size();
    for (io::ReadCompletion& completion : done_) out.push_back(std::move(completion));
    done_.clear();
    return n;
  }
  std::vector<io::ReadCompletion> done_;
};

class ManualClock final : public Clock {
 public:
  int64_t NowNs() const override { return now; }
  int64_t UnixSeconds() const override { return 0; }
  int64_t now = 0;
};

// Two layers of eight experts; a bank of eight slots and four staged ones, windows of three.
class FetcherTest : public testing::Test {
 protected:
  FetcherTest() {
    std::vector<std::byte> page(kPageBytes);
    for (ExpertKey key = 0; key < catalog_.keys(); ++key) {
      ManualReader::Fill(page, key);
      catalog_.records[key].offset = key * kPageBytes;
      catalog_.records[key].xxh3 = io::Xxh3(page);
    }
    auto bank = Bank::Create(catalog_, {.slots = 8, .staging_slots = 4}, ledger_, counters_);
    EXPECT_TRUE(bank.ok());
    bank_ = *std::move(bank);
    auto manual = std::make_unique<ManualReader>();
    reader_ = manual.get();
    auto reads = RecordReader::Create(catalog_, std::move(manual), bank_->memory(), bank_->slots(),
                                      counters_);
    EXPECT_TRUE(reads.ok());
    reads_ = *std::move(reads);
    rules_ = MakePassRules(catalog_, {.in_flight_bytes = 8 * kPageBytes},
                           {.bank_slots = 8, .staging_slots = 4, .window = 3}, reads_->depth(),
                           counters_);
    drafts_.emplace(catalog_, *bank_, 4);
    fetcher_.emplace(catalog_, *bank_, *reads_, *drafts_, counters_, clock_);
    SetKind(PassKind::kDecode);
  }

  void SetKind(PassKind kind) { fetcher_->SetRules(rules_[static_cast<size_t>(kind)]); }
  // Requests experts that have no slot, as indices from 0 on.
  void Request(std::initializer_list<ExpertKey> keys) {
    fetcher_->Begin(clock_.now);
    uint32_t index = 0;
    for (const ExpertKey key : keys) fetcher_->Demand(key, index++);
    fetcher_->DemandComplete();
    fetcher_->Pump();
  }
  std::vector<ExpertKey> Verified() const {
    std::vector<ExpertKey> keys;
    for (const uint32_t slot : slots().verified()) keys.push_back(slots()[slot].key);
    return keys;
  }
  SlotTable& slots() { return bank_->slots(); }
  const SlotTable& slots() const { return bank_->slots(); }

  Catalog catalog_ = PageCatalog(2, 8);
  MemoryLedger ledger_{size_t{8} << 20};
  BankCounters counters_;
  ManualClock clock_;
  std::unique_ptr<Bank> bank_;
  ManualReader* reader_ = nullptr;  // owned by reads_
  std::unique_ptr<RecordReader> reads_;
  std::array<PassRules, 3> rules_;
  std::optional<DraftRows> drafts_;
  std::optional<Fetcher> fetcher_;
};

TEST_F(FetcherTest, TheHeldReadBeginsWhenTheFirstOfTheOthersLands) {
  Request({0, 1, 2});
  EXPECT_THAT(reader_->keys(), ElementsAre(0, 1));
  reader_->Land(1);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  EXPECT_THAT(Verified(), ElementsAre(1));
  EXPECT_EQ(slots()[slots().verified()[0]].wanted_by, 1u);
  EXPECT_THAT(reader_->keys(), ElementsAre(0, 2));
}

TEST_F(FetcherTest, APrefetchThatFailsIsNoFailureOfTheRequest) {
  fetcher_->Prefetch(9);
  fetcher_->Pump();
  EXPECT_THAT(reader_->keys(), ElementsAre(9));
  for (int i = 0; i < 2; ++i) {  // it is tried again
    reader_->Fail(9);
    EXPECT_TRUE(fetcher_->Take(false).ok());
  }
  EXPECT_EQ(slots().Find(9), std::nullopt);
  EXPECT_EQ(counters_.prefetch.wasted.Get(), 1u);
  EXPECT_TRUE(fetcher_->idle());

  Request({1});
  for (int i = 0; i < 2; ++i) {
    reader_->Fail(1);
    const Status status = fetcher_->Take(false);
    EXPECT_EQ(status.ok(), i == 0);
  }
  EXPECT_EQ(slots().Find(1), std::nullopt);
}

TEST_F(FetcherTest, AWrongRecordThatWasReadAheadIsReadAnew) {
  fetcher_->Prefetch(9);
  fetcher_->Pump();
  reader_->Land(9, false);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  const uint32_t slot = *slots().Find(9);
  slots().Use(slot);
  slots().Want(slot, 4);
  EXPECT_TRUE(fetcher_->Verify().ok());
  EXPECT_THAT(Verified(), IsEmpty());
  EXPECT_EQ(counters_.read_retries.Get(), 1u);
  EXPECT_THAT(reader_->keys(), ElementsAre(9));
  EXPECT_EQ(slots()[*slots().Find(9)].wanted_by, 4u);
  // It has a retry of its own.
  reader_->Land(9, false);
  EXPECT_TRUE(fetcher_->Take(false).ok());
  reader_->Land(9, true);
  EXPECT_TRUE(fetcher_->Take(false).ok());
  EXPECT_THAT(Verified(), ElementsAre(9));
}

TEST_F(FetcherTest, APartOfAPrefillPassIsVerifiedAtATime) {
  SetKind(PassKind::kPrefill);
  Request({0, 1, 2, 3, 4});
  for (ExpertKey key = 0; key < 5; ++key) reader_->Land(key);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  EXPECT_THAT(Verified(), ElementsAre(0, 1, 2));
  EXPECT_EQ(slots().to_verify().size(), 2u);
  EXPECT_FALSE(fetcher_->idle());
  ASSERT_TRUE(fetcher_->Take(true).ok()) << "there is no need to wait";
  EXPECT_THAT(Verified(), ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(FetcherTest, WhatIsPrefetchedIsNotReadTwice) {
  SetKind(PassKind::kPrefill);
  Request({8, 9});
  fetcher_->PrefetchLayer(1);
  fetcher_->Pump();
  EXPECT_THAT(reader_->keys(), ElementsAre(8, 9, 10, 11, 12, 13)) << "to the reader's depth";
  EXPECT_EQ(counters_.read_ahead.issued.Get(), 4u);
}

TEST_F(FetcherTest, AnAbandonedRequestReadsNoMoreThanItHasBegun) {
  Request({0, 1, 2, 3, 4});
  EXPECT_THAT(reader_->keys(), ElementsAre(0, 1, 2));
  fetcher_->Abandon();
  for (ExpertKey key = 0; key < 3; ++key) reader_->Land(key);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  EXPECT_TRUE(fetcher_->idle());
  EXPECT_THAT(Verified(), IsEmpty());
  EXPECT_THAT(reader_->keys(), IsEmpty());
  EXPECT_EQ(slots()[*slots().Find(2)].state, SlotState::kUnverified);
}

TEST_F(FetcherTest, LayersThatMissAreTimed) {
  clock_.now = 100;
  Request({0, 1});
  EXPECT_EQ(counters_.miss_bytes.Get(), 2 * kPageBytes);
  clock_.now = 130;
  reader_->Land(0);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  EXPECT_EQ(counters_.miss_read_ns.Get(), 0u);
  clock_.now = 150;
  reader_->Land(1);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  EXPECT_EQ(counters_.miss_read_ns.Get(), 50u);
  clock_.now = 170;
  fetcher_->HandedOut();
  EXPECT_EQ(counters_.miss_ns.Get(), 70u);

  // A layer without a miss, and one of a prefill pass.
  fetcher_->Abandon();
  Request({});
  fetcher_->HandedOut();
  SetKind(PassKind::kPrefill);
  Request({2});
  reader_->Land(2);
  ASSERT_TRUE(fetcher_->Take(false).ok());
  fetcher_->HandedOut();
  EXPECT_EQ(counters_.miss_bytes.Get(), 2 * kPageBytes);
  EXPECT_EQ(counters_.miss_read_ns.Get(), 50u);
  EXPECT_EQ(counters_.miss_ns.Get(), 70u);
}

}  // namespace
}  // namespace mach::experts
