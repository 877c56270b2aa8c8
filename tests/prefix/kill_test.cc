// Processes that are killed at random moments of saves, evictions and restores. MACH_KILLS: how
// many; 20 unless set.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kill_work.h"

extern char** environ;

namespace mach::cache {
namespace {

namespace fs = std::filesystem;

class Child {
 public:
  Child(const std::string& directory, uint64_t seed) {
    std::string program = MACH_KILL_CHILD;
    std::string place = directory;
    std::string number = std::to_string(seed);
    char* arguments[] = {program.data(), place.data(), number.data(), nullptr};
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    out_ = ends[0];
  }
  ~Child() { close(out_); }
  void WaitUntilOpen() const {
    char c;
    EXPECT_EQ(read(out_, &c, 1), 1);
  }
  // True: it lived until then.
  bool Kill() const {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
};

// The directory holds entries that are whole and listed, within the budget, and nothing else.
void CheckRecovered(const std::string& directory, uint64_t budget) {
  auto index = DiskIndex::Open(directory + "/index.sqlite");
  ASSERT_TRUE(index.ok()) << index.error().message;
  const auto rows = (*index)->All();
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  std::set<std::string> listed;
  uint64_t bytes = 0;
  for (const DiskRow& row : *rows) {
    EXPECT_EQ(row.writer, 0) << row.name;
    EXPECT_EQ(fs::file_size(directory + "/" + row.name), row.bytes) << row.name;
    listed.insert(row.name);
    bytes += row.bytes;
  }
  EXPECT_LE(bytes, budget);
  for (const auto& file : fs::directory_iterator(directory)) {
    const std::string name = file.path().filename();
    EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
    EXPECT_EQ(name.ends_with(kEntrySuffix), listed.contains(name)) << name;
  }
  EXPECT_FALSE(fs::exists(directory + "/damaged"));
}

TEST(PrefixKill, NoKillLosesMoreThanWhatIsBeingWritten) {
  const char* asked = std::getenv("MACH_KILLS");
  const int kills = asked != nullptr ? std::atoi(asked) : 20;
  std::string pattern = testing::TempDir() + "mach-kill-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const StateShape shape = SmallShape();
  const DiskTierOptions options = KillOptions(directory, shape);
  MemoryLedger ledger(size_t{256} << 20);
  size_t entries = 0;
  for (int i = 0; i < kills; ++i) {
    SCOPED_TRACE("kill " + std::to_string(i));
    const auto seed = static_cast<uint64_t>(i);
    const double moment = UniformAt(99, seed);
    {
      const Child child(directory, seed);
      // Now and then with company, which goes on.
      std::unique_ptr<Child> company;
      if (i % 4 == 3) company = std::make_unique<Child>(directory, seed + 1'000'000);
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
