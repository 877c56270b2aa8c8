// Ways to hold mach-tiny's experts on disk.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include <unistd.h>

#include "expert_files.h"
#include "io/testing/fault_reader.h"
#include "streaming_corpus.h"

namespace mach::test {

struct Setting {
  double bank = 0;  // share of all experts; 0: the floor
  experts::Eviction eviction = experts::Eviction::kLookahead;
  bool pin_hot = false;
  io::ReadMode mode = io::ReadMode::kIoUring;
  bool transient = true;
  experts::Prefetch prefetch = experts::Prefetch::kOn;
  uint64_t shuffle = 0;  // FaultReader's
  size_t threads = 2;
  size_t chunk = 64;
  ops::Compute compute = ops::Compute::kInt8;
};

inline std::string Describe(const Setting& s) {
  return "bank " + std::to_string(s.bank) + " " + std::string(experts::EvictionName(s.eviction)) +
         (s.pin_hot ? " pin-hot " : " ") + std::string(io::ReadModeName(s.mode)) +
         (s.transient ? " transient" : " through the bank") + " prefetch " +
         std::array{"off", "auto", "on"}[static_cast<size_t>(s.prefetch)] + " shuffle " +
         std::to_string(s.shuffle) + " threads " + std::to_string(s.threads) + " chunk " +
         std::to_string(s.chunk);
}

// Eight layers of four, and four.
inline constexpr size_t kFloorSlots = 36;

// How to load it so. reader: set at the load.
inline residency::LoadOptions StreamingOptions(const experts::Catalog& catalog, const Setting& s,
                                               io::FaultReader** reader = nullptr) {
  residency::LoadOptions options = MachTiny(s.threads, s.compute);
  residency::StreamingSetup& streaming = options.streaming.emplace();
  streaming.catalog = catalog;
  const size_t all = catalog.RecordCount();
  const auto slots = static_cast<size_t>(s.bank * static_cast<double>(all));
  streaming.options.bank_bytes = std::max(slots, kFloorSlots) * catalog.slot_bytes;
  streaming.options.eviction = s.eviction;
  streaming.options.pin_hot = s.pin_hot;
  streaming.options.transient_prefill = s.transient;
  streaming.options.prefetch = s.prefetch;
  streaming.options.in_flight_bytes = 8 * catalog.slot_bytes;
  streaming.options.staging_bytes = 24 * catalog.slot_bytes;
  streaming.read_mode = s.mode;
  streaming.wrap_reader = [shuffle = s.shuffle, reader](std::unique_ptr<io::AsyncReader> base) {
    auto wrapped = std::make_unique<io::FaultReader>(std::move(base),
                                                     io::FaultReader::Faults{.shuffle = shuffle});
    if (reader != nullptr) *reader = wrapped.get();
    return wrapped;
  };
  return options;
}

// After a corpus of prompts and outputs.
inline void CheckCounters(const Setting& setting, experts::StreamingStore& store) {
  const experts::BankStats stats = store.Stats();
  EXPECT_LE(stats.resident, stats.slots);
  if (setting.bank == 1) {
    EXPECT_LE(stats.bytes_read, store.catalog().RecordCount() * store.catalog().slot_bytes);
    EXPECT_EQ(stats.evictions, 0u);
  } else if (setting.bank == 0) {
    EXPECT_GT(stats.evictions, 0u);
  }
  const experts::PrefetchCounters& prefetch = store.counters().prefetch;
  EXPECT_LE(prefetch.used.Get() + prefetch.wasted.Get(), prefetch.issued.Get());
  if (setting.prefetch == experts::Prefetch::kOff || setting.bank == 1) {
    EXPECT_EQ(prefetch.issued.Get(), 0u);
  } else {
    EXPECT_GT(prefetch.used.Get(), 0u);
  }
  store.TEST_CheckIdle();
}

class StreamingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // A name of its own: test binaries run beside each other, and beside themselves.
    files_ = std::make_unique<ExpertFiles>(SourcePath("models/mach-tiny"),
                                           "streaming_" + std::to_string(getpid()));
  }
  static void TearDownTestSuite() { files_.reset(); }

  // Null when this machine has no such reader.
  static std::unique_ptr<TestModel> Load(const Setting& s, io::FaultReader** reader = nullptr) {
    if (!io::AsyncReader::Create(s.mode).ok()) return nullptr;
    return TestModel::Load(StreamingOptions(files_->catalog(), s, reader));
  }

  // Every setting gives the tokens of the resident model. Gives how many this machine could run.
  static size_t ExpectSameTokens(std::span<const Setting> settings,
                                 const std::vector<Question>& corpus) {
    const auto resident = TestModel::Load(MachTiny(2));
    const auto expected = GenerateAll(*resident, corpus, 64);
    size_t ran = 0;
    for (const Setting& setting : settings) {
      SCOPED_TRACE(Describe(setting));
      const auto model = Load(setting);
      if (model == nullptr) continue;
      ++ran;
      EXPECT_EQ(GenerateAll(*model, corpus, setting.chunk), expected);
      CheckCounters(setting, *model->loaded().streaming());
      if (HasFailure()) break;
    }
    return ran;
  }

  inline static std::unique_ptr<ExpertFiles> files_;
};

}  // namespace mach::test
