#include <atomic>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "base/aligned_memory.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/memory_ledger.h"
#include "base/random.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/topology.h"

namespace mach {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Error{Code::kInvalidArgument, std::to_string(n) + " is odd"};
  return n / 2;
}
Result<int> Quarter(int n) {
  MACH_TRY(const int half, Half(n));
  return Half(half);
}

TEST(LogLimit, LetsABurstThroughAndThenARate) {
  LogLimit limit(3, std::chrono::nanoseconds(100));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Admit(1000), std::optional<uint64_t>(0));
  EXPECT_EQ(limit.Admit(1000), std::nullopt);
  EXPECT_EQ(limit.Admit(1099), std::nullopt);
  EXPECT_EQ(limit.Admit(1100), std::optional<uint64_t>(2));  // as many were left out
  EXPECT_EQ(limit.Admit(1100), std::nullopt);
  EXPECT_EQ(limit.Admit(900), std::nullopt);  // a clock that goes back gives nothing
  // Silence fills it, and no more than that.
  EXPECT_EQ(limit.Admit(1'000'000), std::optional<uint64_t>(2));
  EXPECT_EQ(limit.Admit(1'000'000), std::optional<uint64_t>(0));
  EXPECT_EQ(limit.Admit(1'000'000), std::optional<uint64_t>(0));
  EXPECT_EQ(limit.Admit(1'000'000), std::nullopt);
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).error().message, "3 is odd");
  EXPECT_EQ(Quarter(7).error().message, "7 is odd");
  EXPECT_EQ(Half(3).error().code, Code::kInvalidArgument);
}

TEST(Result, ContextIsAddedInFront) {
  EXPECT_EQ((Error{Code::kIo, "short read"}.In("layer 3").message), "layer 3: short read");
}

TEST(AlignedBuffer, IsAlignedZeroedAndRefusesTheImpossible) {
  for (const size_t bytes : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
    auto buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_TRUE(buffer.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % kPageBytes, 0u);
    EXPECT_EQ(buffer->size(), bytes);
    EXPECT_EQ(buffer->data()[bytes - 1], std::byte{0});
    buffer->data()[bytes - 1] = std::byte{7};
    AlignedBuffer moved = *std::move(buffer);
    EXPECT_EQ(moved.data()[bytes - 1], std::byte{7});
  }
  EXPECT_EQ(AlignedBuffer::Allocate(~size_t{0}).error().code, Code::kNoMemory);
}

TEST(MemoryLedger, NeverCrossesItsLimitAndReturnsWhatDies) {
  MemoryLedger ledger(100);
  auto a = ledger.Reserve(MemoryTag::kKv, 60);
  ASSERT_TRUE(a.ok());
  const auto refused = ledger.Reserve(MemoryTag::kExperts, 41);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("experts"), std::string::npos);
  EXPECT_EQ(ledger.reserved(), 60u);
  {
    MemoryReservation moved = *std::move(a);
    EXPECT_EQ(ledger.reserved(MemoryTag::kKv), 60u);
  }
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_FALSE(ledger.Reserve(MemoryTag::kKv, ~size_t{0}).ok());
}

TEST(MemoryLedger, ClaimsGrowAndShrink) {
  MemoryLedger ledger(100);
  auto a = ledger.Reserve(MemoryTag::kRequests, 0);
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE(a->TryGrow(100));
  EXPECT_FALSE(a->TryGrow(1));
  a->Shrink(30);
  EXPECT_EQ(ledger.reserved(MemoryTag::kRequests), 70u);
  EXPECT_EQ(a->bytes(), 70u);
  a->Release();
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST(ThreadPool, CoversEveryIndexOnceForAnyTeamAndGrain) {
  for (const size_t threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const size_t n : {0, 1, 5, 64, 1000}) {
      for (const size_t grain : {1, 16, 100}) {
        std::vector<std::atomic<int>> hits(n);
        pool.ParallelFor(n, grain, [&](size_t begin, size_t end, size_t worker) {
          EXPECT_LT(worker, threads);
          EXPECT_EQ(begin % grain, 0u);
          for (size_t i = begin; i < end; ++i) ++hits[i];
        });
        for (const auto& h : hits) EXPECT_EQ(h.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, ManySmallJobsAndPausesBetweenThem) {
  ThreadPool pool(3);
  std::atomic<size_t> sum{0};
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(3, 1, [&](size_t begin, size_t end, size_t) { sum += end - begin; });
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(sum.load(), 6000u);
}

TEST(ThreadPool, OthersTakeTheShareOfAWorkerThatIsHeldUp) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  std::atomic<bool> held{false};
  pool.ParallelFor(8, 1, [&](size_t, size_t, size_t) {
    // Whoever comes first is held up until the other one has run all the rest.
    if (!held.exchange(true)) {
      while (done.load() < 7) std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_EQ(done.load(), 8);
}

TEST(ThreadPool, ALimitedTeamRunsEverythingOnFewerWorkers) {
  ThreadPool pool(4);
  for (const size_t active : {4, 1, 3, 2, 4}) {
    pool.Limit(active);
    EXPECT_EQ(pool.active(), active);
    EXPECT_EQ(pool.threads(), 4u);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> hits(40);
      pool.ParallelFor(hits.size(), 1, [&](size_t begin, size_t end, size_t worker) {
        // A worker that was active until now may still help; its number stays within the pool.
        EXPECT_LT(worker, 4u);
        for (size_t i = begin; i < end; ++i) ++hits[i];
      });
      for (const auto& h : hits) EXPECT_EQ(h.load(), 1);
    }
    // Long enough for the others to fall asleep.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(ThreadPool, WorkersAtRestDoNotHoldUpTheEnd) {
  ThreadPool pool(8);
  pool.Limit(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, UniformIsAFunctionOfItsKeyAndUniform) {
  EXPECT_EQ(UniformAt(1, 2, 3), UniformAt(1, 2, 3));
  EXPECT_NE(UniformAt(1, 2), UniformAt(2, 2));
  EXPECT_NE(UniformAt(1, 2), UniformAt(1, 3));
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = UniformAt(42, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 4 * 0.2887 / 100);  // 4 standard errors
}

TEST(Log, ControlBytesCannotForgeALine) {
  EXPECT_EQ(EscapeForLog("a\nb\x1b[0m\t\"", false), "a\\nb\\x1b[0m\\t\"");
  EXPECT_EQ(EscapeForLog("\"\\\x01", true), "\\\"\\\\\\u0001");
}

class FakeTree {
 public:
  FakeTree()
      : root_(std::filesystem::path(testing::TempDir()) /
              ("mach_topology_test." + std::to_string(getpid()))) {
    std::filesystem::remove_all(root_);
  }
  ~FakeTree() { std::filesystem::remove_all(root_); }
  void Put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  size_t Cpus() const { return AvailableCpus((root_ / "proc").string(), (root_ / "cg").string()); }
  Result<size_t> Free() const {
    return FreeMemoryBytes((root_ / "proc").string(), (root_ / "cg").string());
  }

 private:
  std::filesystem::path root_;
};

TEST(Topology, FreeMemoryIsTheLeastOfMachineAndCgroups) {
  FakeTree tree;
  EXPECT_FALSE(tree.Free().ok());
  tree.Put("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   64 kB\n");
  EXPECT_EQ(*tree.Free(), 64u * 1024);
  tree.Put("proc/self/cgroup", "0::/a/b\n");
  tree.Put("cg/a/memory.max", "40000\n");
  tree.Put("cg/a/memory.current", "30000\n");
  tree.Put("cg/a/memory.stat", "anon 1\ninactive_file 5000\n");
  tree.Put("cg/a/b/memory.max", "max\n");
  EXPECT_EQ(*tree.Free(), 15000u);
  tree.Put("proc/self/cgroup", "5:cpu,memory:/old\n");
  tree.Put("cg/memory/old/memory.limit_in_bytes", "9000\n");
  tree.Put("cg/memory/old/memory.usage_in_bytes", "9500\n");
  EXPECT_EQ(*tree.Free(), 0u);
}

// A process that has just read a large file is not short of memory.
TEST(Topology, PageCacheOfACgroupIsFree) {
  FakeTree tree;
  tree.Put("proc/meminfo", "MemAvailable: 1000000 kB\n");
  tree.Put("proc/self/cgroup", "0::/v2\n5:memory:/v1\n");
  tree.Put("cg/v2/memory.max", "100000\n");
  tree.Put("cg/v2/memory.current", "95000\n");
  tree.Put("cg/v2/memory.stat",
           "anon 10000\nfile 80000\nshmem 7000\ninactive_file 40000\nactive_file 30000\n"
           "slab_reclaimable 3000\n");
  EXPECT_EQ(*tree.Free(), 78000u);
  // The hierarchy's lists, not the group's own, belong to the hierarchy's usage.
  tree.Put("cg/memory/v1/memory.limit_in_bytes", "50000\n");
  tree.Put("cg/memory/v1/memory.usage_in_bytes", "45000\n");
  tree.Put("cg/memory/v1/memory.stat",
           "cache 30000\ninactive_file 100\nactive_file 100\ntotal_inactive_file 10000\n"
           "total_active_file 20000\n");
  EXPECT_EQ(*tree.Free(), 35000u);
}

TEST(Topology, CpuQuotasOfCgroupsCount) {
  FakeTree tree;
  const size_t all = tree.Cpus();
  tree.Put("proc/self/cgroup", "4:cpu,cpuacct:/v1\n");
  tree.Put("cg/cpu/v1/cpu.cfs_quota_us", "-1\n");
  tree.Put("cg/cpu/v1/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(tree.Cpus(), all);
  tree.Put("cg/cpu/v1/cpu.cfs_quota_us", "90000\n");
  EXPECT_EQ(tree.Cpus(), 1u);
  tree.Put("proc/self/cgroup", "0::/v2/in\n");
  EXPECT_EQ(tree.Cpus(), all);
  tree.Put("cg/v2/cpu.max", "50000 100000\n");
  tree.Put("cg/v2/in/cpu.max", "max 100000\n");
  EXPECT_EQ(tree.Cpus(), 1u);
}

// Who may run on one processor only stays there; others go, and remain free to go anywhere.
TEST(Topology, LeavesACpuWhereThereIsAnother) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  const int here = sched_getcpu();
  bool left = false;
  for (int attempt = 0; attempt < 100 && !left; ++attempt) {
    LeaveCpu(here);
    left = sched_getcpu() != here;
  }
  EXPECT_EQ(left, CPU_COUNT(&before) > 1);
  cpu_set_t after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));

  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(here, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  LeaveCpu(here);
  EXPECT_EQ(sched_getcpu(), here);
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&one, &after));
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(Topology, ThisMachineHasACpuAndMemory) {
  EXPECT_GE(AvailableCpus(), 1u);
  EXPECT_GT(*FreeMemoryBytes(), 0u);
}

}  // namespace
}  // namespace mach
