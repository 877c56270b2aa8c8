#include "cache/prefix_cache.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/random.h"
#include "cache/testing/sequences.h"

namespace mach::cache {
namespace {

namespace fs = std::filesystem;

class PrefixCacheTest : public testing::Test {
 protected:
  PrefixCacheTest() {
    std::string pattern = testing::TempDir() + "mach-prefix-cache-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    options_.max_bytes = size_t{8} << 20;
    options_.disk.emplace();
    options_.disk->directory = directory_;
    options_.disk->budget_bytes = uint64_t{8} << 20;
  }
  ~PrefixCacheTest() override { fs::remove_all(directory_); }

  std::unique_ptr<PrefixCache> Open() {
    auto made = PrefixCache::Create(shape_, Sha1("model"), options_, ledger_);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return *std::move(made);
  }
  // A request: goes on from what is cached, and keeps the state of the whole prompt. False: the
  // state is not that of computing all of it.
  bool Request(PrefixCache& cache, const std::vector<TokenId>& ids, const std::string& session,
               size_t* cached = nullptr) {
    Fed fed = Computed(shape_, ledger_, {});
    std::vector<TokenId> longer = ids;
    longer.push_back(3);
    const PrefixCache::Hit hit = cache.Resume(longer, session, *fed.state);
    if (cached != nullptr) *cached = hit.tokens;
    fed.hash = Computed(shape_, ledger_, std::span(ids).first(hit.tokens)).hash;
    Feed(*fed.state, std::span(ids).subspan(hit.tokens), fed.hash);
    const bool same = ContentOf(*fed.state) == ContentOf(*Computed(shape_, ledger_, ids).state);
    auto image = cache.Capture(ids, PrefixKind::kMessage, hit.conversation, *fed.state);
    if (image != nullptr) {
      cache.Commit(std::move(image), hit.conversation, SaveTrigger::kCold, true);
    }
    cache.FirstToken();
    return same;
  }

  const StateShape shape_ = SmallShape();
  MemoryLedger ledger_{size_t{256} << 20};
  PrefixCacheOptions options_;
  std::string directory_;
};

TEST_F(PrefixCacheTest, AShorterEntryServesWhereALongerOneIsDamaged) {
  const std::vector<TokenId> ids = Ids(300);
  {
    const auto cache = Open();
    for (const size_t n : {100u, 200u, 300u}) {
      ASSERT_TRUE(Request(*cache, {ids.begin(), ids.begin() + n}, "s"));
    }
  }
  const uint64_t longest = EntryFileBytes(OwnerOf(Sha1("model"), shape_), 300);
  for (const auto& file : fs::directory_iterator(directory_)) {
    if (file.path().extension() != kEntrySuffix || file.file_size() != longest) continue;
    std::fstream(file.path(), std::ios::binary | std::ios::in | std::ios::out).seekp(9000).put('!');
  }
  const auto cache = Open();
  size_t cached = 0;
  EXPECT_TRUE(Request(*cache, ids, "s", &cached));
  EXPECT_EQ(cached, 200u);
  EXPECT_EQ(cache->counters().disk.quarantined, 1u);
  EXPECT_EQ(cache->counters().disk_hits, 1u);
  // And the longer one is saved anew.
  cache->Flush();
  EXPECT_EQ(cache->ListDisk().back().tokens, 300u);
}

TEST_F(PrefixCacheTest, HitsAreWrittenDownAfterTheFirstToken) {
  const std::vector<TokenId> ids = Ids(100);
  ASSERT_TRUE(Request(*Open(), ids, "s"));
  const auto cache = Open();
  Fed fed = Computed(shape_, ledger_, {});
  std::vector<TokenId> longer = ids;
  longer.push_back(3);
  ASSERT_EQ(cache->Resume(longer, "s", *fed.state).tokens, 100u);
  EXPECT_EQ(cache->ListDisk().at(0).hits, 0);
  cache->FirstToken();
  cache->Flush();
  EXPECT_NEAR(cache->ListDisk().at(0).hits, 1, 1e-3);
  // So does another process see it.
  EXPECT_NEAR(Open()->ListDisk().at(0).hits, 1, 1e-3);
}

TEST_F(PrefixCacheTest, ADiskThatDoesNotWorkIsAsGoodAsNone) {
  std::ofstream(options_.disk->directory + ".file") << "x";
  options_.disk->directory += ".file";  // no directory
  const auto cache = Open();
  EXPECT_FALSE(cache->counters().has_disk);
  size_t cached = 0;
  EXPECT_TRUE(Request(*cache, Ids(100), "s"));
  EXPECT_TRUE(Request(*cache, Ids(120), "s", &cached));
  EXPECT_EQ(cached, 100u);
  EXPECT_TRUE(cache->ListDisk().empty());
  fs::remove(options_.disk->directory);
}

// What others ask for meanwhile is answered, and the state is right even when the image is let go.
TEST_F(PrefixCacheTest, NobodyWaitsForARestore) {
  const auto cache = Open();
  const std::vector<TokenId> ids = Ids(100);
  ASSERT_TRUE(Request(*cache, ids, "s"));
  cache->Flush();
  bool restored = false;
  cache->TEST_OnRestore([&] {
    restored = true;
    auto others = std::async(std::launch::async, [&] {
      const PrefixCounters counters = cache->counters();
      EXPECT_EQ(counters.hits, 1u);
      EXPECT_EQ(counters.tokens_saved, ids.size());
      EXPECT_EQ(cache->ListMemory().size(), 1u);
      EXPECT_EQ(cache->Clear(), 2u);  // in memory, and on disk
    });
    // Ends the test where they would wait for ever.
    MACH_CHECK(others.wait_for(std::chrono::minutes(1)) == std::future_status::ready);
  });
  size_t cached = 0;
  EXPECT_TRUE(Request(*cache, Ids(120), "s", &cached));
  EXPECT_TRUE(restored);
  EXPECT_EQ(cached, ids.size());
  EXPECT_EQ(cache->counters().entries, 1u);  // the one that Request made
}

// One thread asks while others look, and clear it now and then.
TEST_F(PrefixCacheTest, IsLookedAtFromAnyThread) {
  options_.max_bytes = size_t{1} << 20;
  options_.disk->budget_bytes = uint64_t{1} << 20;
  const auto cache = Open();
  std::atomic<bool> stop = false;
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&, i] {
      for (int round = 0; !stop.load(); ++round) {
        const PrefixCounters counters = cache->counters();
        EXPECT_LE(counters.bytes, options_.max_bytes);
        EXPECT_LE(cache->ListMemory().size(), options_.max_entries);
        (void)cache->ListDisk();
        if (i == 0 && round % 50 == 49) cache->Clear();
        std::this_thread::sleep_for(std::chrono::microseconds(500));
      }
    });
  }
  for (uint64_t step = 0; step < 100; ++step) {
    const auto which = static_cast<size_t>(UniformAt(7, step) * 12);
    const size_t n = 60 + 40 * (step % 5);
    EXPECT_TRUE(Request(*cache, Ids(n, static_cast<TokenId>(1000 * which)),
                        which % 3 == 0 ? "" : "session-" + std::to_string(which)));
  }
  stop = true;
  for (std::thread& other : others) other.join();
  const PrefixCounters counters = cache->counters();
  EXPECT_GT(counters.hits, 0u);
  EXPECT_EQ(counters.disk.quarantined, 0u);
  EXPECT_EQ(counters.disk.errors, 0u);
}

}  // namespace
}  // namespace mach::cache
