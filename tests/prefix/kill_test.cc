// Processes that are killed at random moments of saves, evictions and restores: what a disk tier
// gives afterwards is what was saved, byte by byte.
#include <chrono>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "kill_work.h"
#include "killed.h"

namespace mach::cache {
namespace {

namespace fs = std::filesystem;

TEST(PrefixKill, NoKillLosesMoreThanWhatIsBeingWritten) {
  std::string pattern = testing::TempDir() + "mach-kill-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const StateShape shape = SmallShape();
  const DiskTierOptions options = KillOptions(directory, shape);
  MemoryLedger ledger(size_t{256} << 20);
  size_t entries = 0;
  for (int i = 0; i < Kills(); ++i) {
    SCOPED_TRACE("kill " + std::to_string(i));
    const auto seed = static_cast<uint64_t>(i);
    const double moment = UniformAt(99, seed);
    {
      const Child child(MACH_KILL_CHILD, directory, seed);
      // Now and then with company, which goes on.
      std::unique_ptr<Child> company;
      if (i % 4 == 3)
        company = std::make_unique<Child>(MACH_KILL_CHILD, directory, seed + 1'000'000);
      if (i % 8 != 0) child.WaitUntilOpen();  // else within its recovery, too
      std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(moment * 60'000)));
      ASSERT_TRUE(child.Kill());
      if (company != nullptr) {
        company->WaitUntilOpen();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ASSERT_TRUE(company->Kill());
      }
    }
    const auto tier = DiskTier::Open(options);
    ASSERT_TRUE(tier.ok()) << tier.error().message;
    CheckRecovered(directory, options.budget_bytes);
    for (size_t p = 0; p < kKillPrompts; ++p) {
      ASSERT_TRUE(RestoresRightly(**tier, KillIds(p), shape, ledger));
    }
    (*tier)->Flush();
    EXPECT_EQ((*tier)->stats().quarantined, 0u);
    entries = std::max<size_t>(entries, (*tier)->stats().entries);
  }
  EXPECT_GT(entries, 4u);  // the work is done, not prevented
  fs::remove_all(directory);
}

}  // namespace
}  // namespace mach::cache
