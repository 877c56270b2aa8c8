// A streaming store over files that a test wrote, by both ways of reading; for its tests.
#pragma once

#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "experts/files_test.h"
#include "experts/streaming_store.h"
#include "io/testing/fault_reader.h"

namespace mach::experts {

inline constexpr size_t kRecord = 3 * kPageBytes;
inline constexpr size_t kBytes = kRecord - 100;

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

class StreamingStoreFixture : public testing::TestWithParam<io::ReadMode> {
 protected:
  // bank: in slots. Without a reader of this mode, nothing.
  Harness Make(const Catalog& catalog, size_t bank, StreamingOptions options = {},
               const io::FaultReader::Faults& faults = {}) {
    auto base = io::AsyncReader::Create(GetParam(), {.depth = 16, .threads = 2, .at_once = 3});
    if (!base) return {};
    auto reader = std::make_unique<io::FaultReader>(*std::move(base), faults);
    Harness made{.reader = reader.get()};
    options.bank_bytes = bank * catalog.slot_bytes;
    if (options.staging_bytes == 0) options.staging_bytes = 6 * catalog.slot_bytes;
    options.in_flight_bytes = 3 * catalog.slot_bytes;
    auto store = MakeStreamingStore(catalog, options, std::move(reader), ledger_, clock_);
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

inline std::string NameOfMode(const testing::TestParamInfo<io::ReadMode>& info) {
  return std::string(io::ReadModeName(info.param));
}

}  // namespace mach::experts

#define REQUIRE_STORE(h)                                            \
  if ((h).reader == nullptr) GTEST_SKIP() << "not on this machine"; \
  ASSERT_NE((h).store, nullptr)
