// Damaged entries through the whole engine: each one is refused, quarantined and counted, and its
// prompt is computed.
#include <chrono>
#include <fstream>
#include <thread>

#include "base/prefix_point.h"
#include "cache/disk_index.h"
#include "cache/entry_file.h"
#include "chat_engine.h"

namespace mach::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCached = 65;  // tokens: two blocks

class PrefixDamage : public testing::Test {
 protected:
  PrefixDamage() {
    for (size_t i = 0; i < kCached + 1; ++i) {
      request_.prompt.push_back(static_cast<TokenId>(20 + i * 37 % 4000));
    }
    request_.prefix_points = {{kCached, PrefixKind::kMessage}};
    request_.sampling.temperature = 0;
    request_.max_tokens = 2;
    expected_ = Ask(*NewChatEngine({.cache = false}), request_).tokens;
    engine_ = NewChatEngine({.disk = directory_.path(), .disk_budget = kBudget});
    Ask(*engine_, request_);
    WaitForDisk();
    auto index = cache::DiskIndex::Open(directory_.path() + "/index.sqlite");
    EXPECT_TRUE(index.ok());
    index_ = *std::move(index);
    const auto rows = index_->All();
    EXPECT_TRUE(rows.ok());
    for (const cache::DiskRow& row : *rows) {
      if (row.tokens == kCached) row_ = row;
    }
    std::ifstream file(Path(), std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(whole_.size(), row_.bytes);
  }

  std::string Path() const { return directory_.path() + "/" + row_.name; }
  cache::PrefixCounters Counters() const { return *engine_->stats().prefix_cache; }
  void WaitForDisk() const {
    while (Counters().disk.waiting != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  // Asks when the cache has nothing but a file of this content, as if another process had left it.
  engine::Answer AskWith(std::string_view content) {
    engine_->ClearPrefixes();
    std::ofstream(Path(), std::ios::binary | std::ios::trunc) << content;
    EXPECT_TRUE(index_->Put(row_).ok());
    engine::Answer answer = Ask(*engine_, request_);
    WaitForDisk();
    return answer;
  }

  void ExpectRefused(std::string_view content, const std::string& what) {
    SCOPED_TRACE(what);
    const uint64_t before = Counters().disk.quarantined;
    // A look-up that finds the index busy does without it: the file was not looked at, ask again.
    for (int attempt = 0; attempt < 20 && Counters().disk.quarantined == before; ++attempt) {
      const engine::Answer answer = AskWith(content);
      ASSERT_EQ(answer.tokens, expected_);
      ASSERT_EQ(answer.timings.cached_tokens, 0u);
    }
    ASSERT_EQ(Counters().disk.quarantined, before + 1);
    ASSERT_TRUE(fs::exists(directory_.path() + "/damaged/" + row_.name));
  }

  static constexpr uint64_t kBudget = uint64_t{64} << 20;
  const TemporaryDirectory directory_;
  engine::Request request_;
  std::vector<TokenId> expected_;
  std::shared_ptr<engine::Engine> engine_;
  std::unique_ptr<cache::DiskIndex> index_;
  cache::DiskRow row_;
  std::string whole_;
};

TEST_F(PrefixDamage, WholeFilesServe) {
  const engine::Answer answer = AskWith(whole_);
  EXPECT_EQ(answer.tokens, expected_);
  EXPECT_EQ(answer.timings.cached_tokens, kCached);
  EXPECT_EQ(Counters().disk_hits, 1u);
  EXPECT_EQ(Counters().disk.quarantined, 0u);
}

TEST_F(PrefixDamage, ABitOfEvery512thByte) {
  for (size_t at = 0; at < whole_.size(); at += 512) {
    std::string flipped = whole_;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at / 512 % 8));
    ExpectRefused(flipped, "byte " + std::to_string(at));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(Counters().disk_hits, 0u);
  EXPECT_LE(Counters().disk.bytes, kBudget);
}

TEST_F(PrefixDamage, TruncationsAtEveryPage) {
  for (size_t size = 0; size < whole_.size(); size += 4096) {
    for (const size_t n : {size, size + 1, size + 4095}) {
      ExpectRefused(std::string_view(whole_).substr(0, n), "truncated to " + std::to_string(n));
      if (HasFatalFailure()) return;
    }
  }
  ExpectRefused(whole_ + "x", "a byte too long");
}

}  // namespace
}  // namespace mach::test
