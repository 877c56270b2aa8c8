// Processes that are killed, and what must be in their directory afterwards.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/disk_index.h"
#include "cache/entry_file.h"

extern char** environ;

namespace mach::cache {

// MACH_KILLS: how many; 20 unless set.
inline int Kills() {
  const char* asked = std::getenv("MACH_KILLS");
  return asked != nullptr ? std::atoi(asked) : 20;
}

class Child {
 public:
  // program: takes the directory and a seed, and prints something when it is at work.
  Child(std::string program, const std::string& directory, uint64_t seed) {
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
inline void CheckRecovered(const std::string& directory, uint64_t budget) {
  auto index = DiskIndex::Open(directory + "/index.sqlite");
  ASSERT_TRUE(index.ok()) << index.error().message;
  const auto rows = (*index)->All();
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  std::set<std::string> listed;
  uint64_t bytes = 0;
  for (const DiskRow& row : *rows) {
    EXPECT_EQ(row.writer, 0) << row.name;
    EXPECT_EQ(std::filesystem::file_size(directory + "/" + row.name), row.bytes) << row.name;
    listed.insert(row.name);
    bytes += row.bytes;
  }
  EXPECT_LE(bytes, budget);
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    const std::string name = file.path().filename();
    EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
    EXPECT_EQ(name.ends_with(kEntrySuffix), listed.contains(name)) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(directory + "/damaged"));
}

}  // namespace mach::cache
