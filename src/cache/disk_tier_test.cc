#include "cache/disk_tier.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cache/testing/sequences.h"
#include "io/posix_error.h"
#include "io/testing/fault_file_system.h"
#include "io/testing/fault_reader.h"

namespace mach::cache {
namespace {

namespace fs = std::filesystem;

class ManualClock final : public Clock {
 public:
  int64_t NowNs() const override { return 0; }
  int64_t UnixSeconds() const override { return now; }
  int64_t now = 1'000'000;
};

class DiskTierTest : public testing::Test {
 protected:
  DiskTierTest() {
    std::string pattern = testing::TempDir() + "mach-disk-tier-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    options_.directory = directory_;
    options_.budget_bytes = uint64_t{64} << 20;
    options_.owner = OwnerOf(Sha1("model"), shape_);
    options_.clock = &clock_;
    options_.most_waiting = 1000;
  }
  ~DiskTierTest() override { fs::remove_all(directory_); }

  std::unique_ptr<DiskTier> Open() {
    auto tier = DiskTier::Open(options_);
    EXPECT_TRUE(tier.ok()) << tier.error().message;
    return *std::move(tier);
  }
  std::shared_ptr<PrefixImage> Image(std::span<const TokenId> ids,
                                     PrefixKind kind = PrefixKind::kMessage) {
    Fed fed = Computed(shape_, ledger_, ids);
    return ImageOf(*fed.state, ids, ledger_, kind);
  }
  void Save(DiskTier& tier, std::span<const TokenId> ids, PrefixKind kind = PrefixKind::kMessage) {
    tier.Save(Image(ids, kind), SaveTrigger::kCold);
    tier.Flush();
  }
  // The state that the tier gives for the prompt, as bytes; empty: none.
  std::string Loaded(DiskTier& tier, std::span<const TokenId> prompt) {
    const auto found = tier.Find(prompt, 0, prompt.size() - 1);
    if (!found) return "";
    const auto image = tier.Load(*found, prompt, ledger_);
    if (image == nullptr) return "";
    Fed fed = Computed(shape_, ledger_, {});
    fed.state->Restore(image->blocks, image->recurrent.get(), image->tokens.size());
    return ContentOf(*fed.state);
  }
  std::string Expected(std::span<const TokenId> ids) {
    return ContentOf(*Computed(shape_, ledger_, ids).state);
  }
  static std::vector<TokenId> Longer(std::vector<TokenId> ids) {
    ids.push_back(3);
    return ids;
  }
  std::vector<std::string> EntryFiles() const {
    std::vector<std::string> files;
    for (const auto& file : fs::directory_iterator(directory_)) {
      if (file.path().extension() == kEntrySuffix) files.push_back(file.path());
    }
    return files;
  }
  uint64_t BytesOnDisk() const {
    uint64_t bytes = 0;
    for (const auto& file : fs::recursive_directory_iterator(directory_)) {
      const std::string name = file.path().filename();
      if (file.is_regular_file() && name.find(kEntrySuffix) != std::string::npos) {
        bytes += file.file_size();
      }
    }
    return bytes;
  }

  const StateShape shape_ = SmallShape();
  MemoryLedger ledger_{size_t{256} << 20};
  ManualClock clock_;
  DiskTierOptions options_;
  std::string directory_;
};

TEST_F(DiskTierTest, GivesBackWhatWasSavedAfterARestart) {
  const std::vector<TokenId> ids = Ids(200);
  {
    const auto tier = Open();
    for (const size_t n : {1u, 63u, 64u, 65u, 128u, 200u}) Save(*tier, std::span(ids).first(n));
    EXPECT_EQ(tier->stats().saves[static_cast<size_t>(SaveTrigger::kCold)], 6u);
  }
  const auto tier = Open();
  EXPECT_EQ(tier->stats().entries, 6u);
  EXPECT_EQ(tier->stats().bytes, BytesOnDisk());
  for (const size_t n : {1u, 63u, 64u, 65u, 128u, 200u}) {
    const auto prefix = std::span(ids).first(n);
    EXPECT_EQ(Loaded(*tier, Longer({prefix.begin(), prefix.end()})), Expected(prefix)) << n;
  }
  EXPECT_EQ(tier->Find(Ids(100, 7), 0, 99), std::nullopt);
  EXPECT_EQ(tier->Find(ids, 128, 199), std::nullopt);  // nothing longer, short of the last token
  EXPECT_EQ(tier->Find(ids, 0, 199)->tokens, 128u);
}

TEST_F(DiskTierTest, ModelsDoNotSeeEachOther) {
  const std::vector<TokenId> ids = Ids(100);
  const auto first = Open();
  Save(*first, ids);
  options_.owner.fingerprint = Sha1("another model");
  const auto second = Open();
  EXPECT_EQ(Loaded(*second, Longer(ids)), "");
  EXPECT_EQ(second->stats().entries, 0u);
  EXPECT_EQ(second->stats().bytes, BytesOnDisk());
  Save(*second, ids);
  EXPECT_EQ(EntryFiles().size(), 2u);
  EXPECT_EQ(second->Clear(), 1u);
  EXPECT_EQ(Loaded(*first, Longer(ids)), Expected(ids));
}

TEST_F(DiskTierTest, SharesItsDirectoryWithOtherProcesses) {
  const auto one = Open();
  const auto other = Open();
  const std::vector<TokenId> ids = Ids(100);
  Save(*one, ids);
  EXPECT_EQ(Loaded(*other, Longer(ids)), Expected(ids));
  EXPECT_EQ(one->Clear(), 1u);
  EXPECT_EQ(Loaded(*other, Longer(ids)), "");
}

TEST_F(DiskTierTest, TheIdsDecide) {
  options_.append_text = [](TokenId, std::string& text) { text += 'x'; };  // all texts are alike
  const auto tier = Open();
  Save(*tier, Ids(100, 50));
  EXPECT_TRUE(tier->Find(Ids(101, 900), 0, 100).has_value());
  EXPECT_EQ(Loaded(*tier, Ids(101, 900)), "");
  EXPECT_EQ(tier->stats().quarantined, 0u);
}

TEST_F(DiskTierTest, KeepsTheBudgetByValue) {
  const uint64_t one = EntryFileBytes(options_.owner, 100);
  options_.budget_bytes = 4 * one;
  const auto tier = Open();
  Save(*tier, Ids(100, 1000), PrefixKind::kSystem);
  Save(*tier, Ids(100, 2000));
  EXPECT_NE(Loaded(*tier, Longer(Ids(100, 2000))), "");  // a hit
  tier->Flush();
  for (TokenId i = 3; i < 20; ++i) {
    ++clock_.now;
    Save(*tier, Ids(100, i * 1000));
    EXPECT_LE(BytesOnDisk(), options_.budget_bytes);
    EXPECT_LE(tier->stats().bytes, options_.budget_bytes);
  }
  EXPECT_EQ(tier->stats().entries, 4u);
  EXPECT_EQ(tier->stats().evictions, 15u);
  EXPECT_NE(Loaded(*tier, Longer(Ids(100, 1000))), "");
  EXPECT_NE(Loaded(*tier, Longer(Ids(100, 2000))), "");
  // Hits fade: after a week without another one the state is as good as new ones.
  tier->Flush();
  clock_.now += 20 * kHitHalfLifeSeconds;
  for (TokenId i = 20; i < 24; ++i) Save(*tier, Ids(100, i * 1000));
  EXPECT_EQ(Loaded(*tier, Longer(Ids(100, 2000))), "");
}

TEST_F(DiskTierTest, KeepsTheBudgetByUse) {
  options_.budget_bytes = 3 * EntryFileBytes(options_.owner, 100);
  options_.eviction = DiskEviction::kLru;
  const auto tier = Open();
  for (TokenId i = 1; i <= 3; ++i) {
    ++clock_.now;
    Save(*tier, Ids(100, i * 1000), i == 2 ? PrefixKind::kSystem : PrefixKind::kMessage);
  }
  ++clock_.now;
  EXPECT_NE(Loaded(*tier, Longer(Ids(100, 1000))), "");
  tier->Flush();
  ++clock_.now;
  Save(*tier, Ids(100, 4000));
  EXPECT_EQ(Loaded(*tier, Longer(Ids(100, 2000))), "");
  EXPECT_NE(Loaded(*tier, Longer(Ids(100, 1000))), "");
}

TEST_F(DiskTierTest, ASmallerBudgetHoldsFromTheStart) {
  {
    const auto tier = Open();
    for (TokenId i = 1; i < 9; ++i) Save(*tier, Ids(100, i * 1000));
  }
  options_.budget_bytes = 2 * EntryFileBytes(options_.owner, 100);
  const auto tier = Open();
  EXPECT_EQ(EntryFiles().size(), 2u);
  EXPECT_LE(BytesOnDisk(), options_.budget_bytes);
}

TEST_F(DiskTierTest, WhatDoesNotFitIsDropped) {
  options_.budget_bytes = 100;
  const auto tier = Open();
  Save(*tier, Ids(100));
  EXPECT_EQ(tier->stats().dropped, 1u);
  EXPECT_EQ(tier->stats().entries, 0u);
}

// ---- damage ----

TEST_F(DiskTierTest, EveryFlippedBitAndEveryTruncationIsRefused) {
  const std::vector<TokenId> ids = Ids(70);
  const auto tier = Open();
  Save(*tier, ids);
  const std::string path = EntryFiles().at(0);
  std::string whole(fs::file_size(path), '\0');
  std::ifstream(path, std::ios::binary)
      .read(whole.data(), static_cast<std::streamsize>(whole.size()));
  uint64_t damaged = 0;
  const auto refuse = [&](const std::string& content, const std::string& what) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    const auto read = ReadEntry(io::PosixFileSystem(), MakeEntryReader, path, options_.owner,
                                ids.size(), ledger_);
    ASSERT_FALSE(read.ok()) << what;
    EXPECT_TRUE(read.error().code == Code::kCorrupt || read.error().code == Code::kUnsupported);
    // And through the tier: quarantined, counted, and found no more; then saved anew. Each of them
    // through an engine: tests/prefix/damage_test.cc.
    if (++damaged % 16 != 1) return;
    EXPECT_EQ(Loaded(*tier, Longer(ids)), "") << what;
    EXPECT_FALSE(fs::exists(path)) << what;
    EXPECT_EQ(tier->stats().quarantined, (damaged + 15) / 16);
    EXPECT_EQ(tier->Find(Longer(ids), 0, ids.size()), std::nullopt);
    Save(*tier, ids);
    EXPECT_EQ(Loaded(*tier, Longer(ids)), Expected(ids));
  };
  for (size_t at = 0; at < whole.size(); at += 512) {
    for (const int bit : {0, 7}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      refuse(flipped, "bit " + std::to_string(bit) + " of byte " + std::to_string(at));
    }
  }
  for (size_t at = 0; at < 200; ++at) {  // every field of the header
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    refuse(flipped, "byte " + std::to_string(at));
  }
  for (size_t size = 0; size < whole.size(); size += 512) {
    refuse(whole.substr(0, size), "truncated to " + std::to_string(size));
  }
  refuse(whole + "x", "a byte too long");
  // Few damaged files are kept.
  EXPECT_LE(std::distance(fs::directory_iterator(directory_ + "/damaged"), {}), 4);
  EXPECT_LE(BytesOnDisk(), options_.budget_bytes);
}

TEST_F(DiskTierTest, EveryFailingReadIsAMiss) {
  const std::vector<TokenId> ids = Ids(200);
  Save(*Open(), ids);
  for (const bool persistent : {false, true}) {
    for (uint64_t at = 1;; ++at) {
      ASSERT_LT(at, 100u);
      io::FaultReader::Faults faults{.fail = at, .persistent = persistent};
      options_.readers = [&]() -> Result<std::unique_ptr<io::AsyncReader>> {
        MACH_TRY(auto reader, MakeEntryReader());
        return std::unique_ptr<io::AsyncReader>(
            std::make_unique<io::FaultReader>(std::move(reader), faults));
      };
      const auto tier = Open();
      const std::string loaded = Loaded(*tier, Longer(ids));
      if (loaded == Expected(ids)) {
        EXPECT_GT(at, 4u);
        break;
      }
      EXPECT_EQ(loaded, "");
      EXPECT_EQ(tier->stats().errors, 1u);
      EXPECT_EQ(tier->stats().quarantined, 0u);  // a bad read is no proof of a bad file
    }
  }
  // Files that cannot be opened, or shrink.
  options_.readers = MakeEntryReader;
  for (uint64_t at = 1; at < 12; ++at) {
    io::FaultFileSystem faulty(io::PosixFileSystem(), {.fail_open = at, .max_read = 100});
    options_.fs = &faulty;
    auto tier = DiskTier::Open(options_);
    if (!tier.ok()) continue;  // the directory could not be listed
    const std::string loaded = Loaded(**tier, Longer(ids));
    EXPECT_TRUE(loaded.empty() || loaded == Expected(ids)) << at;
  }
  options_.fs = nullptr;
  EXPECT_EQ(Loaded(*Open(), Longer(ids)), Expected(ids));
}

// Sections come before the header that holds their checksums, too.
TEST_F(DiskTierTest, TheOrderOfReadsDoesNotMatter) {
  const std::vector<TokenId> ids = Ids(200);
  Save(*Open(), ids);
  const std::string path = EntryFiles().at(0);
  const uint64_t bytes = fs::file_size(path);
  io::FaultReader::Faults faults;
  options_.readers = [&]() -> Result<std::unique_ptr<io::AsyncReader>> {
    MACH_TRY(auto reader, MakeEntryReader());
    return std::unique_ptr<io::AsyncReader>(
        std::make_unique<io::FaultReader>(std::move(reader), faults));
  };
  const auto read = [&] {
    return ReadEntry(io::PosixFileSystem(), options_.readers, path, options_.owner, ids.size(),
                     ledger_);
  };
  for (uint64_t seed = 0; seed < 20; ++seed) {
    faults = {.max_taken = seed % 3 == 0 ? 2 : SIZE_MAX, .reverse = seed == 0, .shuffle = seed};
    EXPECT_EQ(Loaded(*Open(), Longer(ids)), Expected(ids)) << seed;
    // A bit of any page is found in any order.
    const auto at = static_cast<std::streamoff>(bytes / 20 * seed + 100);
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at).put(static_cast<char>(byte ^ 4)).flush();
    const auto damaged = read();
    ASSERT_FALSE(damaged.ok()) << at;
    EXPECT_EQ(damaged.error().code, Code::kCorrupt) << damaged.error().message;
    file.seekp(at).put(static_cast<char>(byte)).flush();
    EXPECT_TRUE(read().ok());
  }
}

TEST_F(DiskTierTest, AnotherNumberOfTokensIsNoDamage) {
  const std::vector<TokenId> ids = Ids(200);
  const auto tier = Open();
  Save(*tier, ids);
  const std::string name = fs::path(EntryFiles().at(0)).filename();
  for (const size_t n : {199u, 150u}) {  // of the same size, and of another one
    EXPECT_EQ(tier->Load({name, n}, Longer(ids), ledger_), nullptr);
    EXPECT_TRUE(fs::exists(EntryFiles().at(0)));
  }
  EXPECT_EQ(tier->stats().quarantined, 0u);
  EXPECT_EQ(Loaded(*Open(), Longer(ids)), Expected(ids));
}

// Fails the Nth create, write or commit.
class FaultyOutput final : public io::OutputFile {
 public:
  FaultyOutput(std::unique_ptr<io::OutputFile> file, uint64_t& left)
      : file_(std::move(file)), left_(left) {}
  const std::string& path() const override { return file_->path(); }
  Status Write(std::span<const std::byte> data) override {
    if (--left_ == 0) return Error{Code::kIo, "no space: injected"};
    return file_->Write(data);
  }
  Status Commit() override {
    if (--left_ == 0) return Error{Code::kIo, "cannot commit: injected"};
    return file_->Commit();
  }

 private:
  const std::unique_ptr<io::OutputFile> file_;
  uint64_t& left_;
};

TEST_F(DiskTierTest, EveryFailingWriteLeavesNothing) {
  const std::vector<TokenId> ids = Ids(200);
  for (uint64_t at = 1;; ++at) {
    ASSERT_LT(at, 100u);
    uint64_t left = at;
    options_.create = [&](const std::string& path) -> Result<std::unique_ptr<io::OutputFile>> {
      if (--left == 0) return Error{Code::kIo, "cannot create: injected"};
      MACH_TRY(auto file, io::CreateOutputFile(path));
      return std::unique_ptr<io::OutputFile>(std::make_unique<FaultyOutput>(std::move(file), left));
    };
    const auto tier = Open();
    const auto image = Image(ids);
    tier->Save(image, SaveTrigger::kCold);
    tier->Flush();
    if (image->on_disk) {
      EXPECT_GT(at, 6u);
      EXPECT_EQ(Loaded(*tier, Longer(ids)), Expected(ids));
      break;
    }
    EXPECT_EQ(tier->stats().errors, 1u);
    EXPECT_EQ(tier->stats().bytes, 0u);
    EXPECT_EQ(BytesOnDisk(), 0u);
    EXPECT_EQ(Loaded(*tier, Longer(ids)), "");
  }
}

TEST_F(DiskTierTest, MendsWhatAKilledProcessLeft) {
  const std::vector<TokenId> ids = Ids(100);
  Save(*Open(), ids);
  const std::string path = EntryFiles().at(0);
  // A file that was renamed but not listed; one half written; a row whose file is gone; a row that
  // was begun only; a file that is no entry.
  {
    auto index = DiskIndex::Open(directory_ + "/index.sqlite");
    ASSERT_TRUE(index.ok());
    ASSERT_TRUE((*index)->Remove(fs::path(path).filename()).ok());
    DiskRow row{.name = "gone.mpfx1",
                .fingerprint = options_.owner.fingerprint,
                .tokens = 10,
                .bytes = 1000};
    ASSERT_TRUE((*index)->Put(row).ok());
    row.name = "begun.mpfx1";
    row.writer = getpid();
    ASSERT_TRUE((*index)->Put(row).ok());
  }
  std::ofstream(path + ".tmp-1-0") << "half";
  std::ofstream(directory_ + "/junk.mpfx1") << "junk";
  const auto tier = Open();
  EXPECT_EQ(tier->stats().entries, 1u);
  EXPECT_EQ(tier->stats().bytes, fs::file_size(path));
  EXPECT_EQ(tier->stats().quarantined, 1u);
  EXPECT_FALSE(fs::exists(path + ".tmp-1-0"));
  EXPECT_EQ(Loaded(*tier, Longer(ids)), Expected(ids));
}

TEST_F(DiskTierTest, ADamagedIndexIsMadeAnew) {
  const std::vector<TokenId> ids = Ids(100);
  Save(*Open(), ids);
  const std::string index = directory_ + "/index.sqlite";
  for (const std::string& content : {std::string(5000, 'x'), std::string()}) {
    for (const char* suffix : {"-wal", "-shm"}) fs::remove(index + suffix);
    std::ofstream(index, std::ios::binary | std::ios::trunc) << content;
    const auto tier = Open();
    EXPECT_EQ(tier->stats().entries, 1u);
    EXPECT_EQ(Loaded(*tier, Longer(ids)), Expected(ids));
  }
}

TEST_F(DiskTierTest, ADirectoryThatCannotBeMadeIsAnError) {
  options_.directory = directory_ + "/file/x";
  std::ofstream(directory_ + "/file") << "x";
  const auto tier = DiskTier::Open(options_);
  ASSERT_FALSE(tier.ok());
  EXPECT_NE(tier.error().message.find(options_.directory), std::string::npos);
}

}  // namespace
}  // namespace mach::cache
