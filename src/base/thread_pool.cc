#include "base/thread_pool.h"

#include <algorithm>

#include <sched.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/check.h"
#include "base/topology.h"

namespace mach {
namespace {

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// About 50 microseconds on current x86-64: longer than the gap between two ops of a decode step,
// shorter than anybody would notice on a battery.
constexpr int kSpins = 2000;

// Ranges of a share: few, since each costs an atomic operation and a start of the loop's body; more
// than one, so that others can help.
constexpr size_t kRangesPerWorker = 4;

}  // namespace

ThreadPool::ThreadPool(size_t threads)
    : shares_(new Share[threads]), cpus_(AvailableCpus()), active_(threads) {
  for (size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { WorkerLoop(i); });
}

ThreadPool::~ThreadPool() {
  {
    const MutexLock lock(mu_);
    stop_.store(true);
    generation_.fetch_add(1);
  }
  wake_.NotifyAll();
  rest_.NotifyAll();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::Limit(size_t threads) {
  MACH_CHECK(threads >= 1 && threads <= this->threads());
  {
    const MutexLock lock(mu_);
    active_.store(threads);
    generation_.fetch_add(1);  // no share holds a range, so that workers only look at active_ again
  }
  wake_.NotifyAll();
  rest_.NotifyAll();
}

bool ThreadPool::Take(Share& share, bool front, size_t& range) {
  uint64_t left = share.left.load(std::memory_order_relaxed);
  while (true) {
    const uint64_t begin = left >> 16 & 0xffff;
    const uint64_t end = left & 0xffff;
    if (begin >= end) return false;
    range = front ? begin : end - 1;
    const uint64_t taken = front ? left + 0x10000 : left - 1;
    // Acquires what the caller wrote before it filled the share: job_.
    if (share.left.compare_exchange_weak(left, taken, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      return true;
    }
  }
}

// Of the worker's own share from the front, then of the others' from the back.
void ThreadPool::RunRanges(size_t worker) {
  size_t done = 0;
  const size_t team = active();
  for (size_t i = 0; i < team; ++i) {
    Share& share = shares_[(worker + i) % team];
    for (size_t range; Take(share, i == 0, range); ++done) {
      const size_t grains = (job_.n + job_.grain - 1) / job_.grain;
      const size_t begin = grains * range / job_.ranges * job_.grain;
      const size_t end = std::min(grains * (range + 1) / job_.ranges * job_.grain, job_.n);
      job_.call(job_.context, begin, end, worker);
    }
  }
  if (done != 0) pending_.fetch_sub(done, std::memory_order_release);
}

void ThreadPool::Run(Job job) {
  if (job.n == 0) return;
  const size_t team = active();
  if (team == 1 || job.n <= job.grain) {
    job.call(job.context, 0, job.n, 0);
    return;
  }
  job.ranges = std::min((job.n + job.grain - 1) / job.grain, team * kRangesPerWorker);
  job_ = job;
  pending_.store(job.ranges, std::memory_order_relaxed);
  const uint64_t number = (generation_.load(std::memory_order_relaxed) + 1) << 32;
  for (size_t w = 0; w < team; ++w) {
    const uint64_t begin = job.ranges * w / team;
    const uint64_t end = job.ranges * (w + 1) / team;
    shares_[w].left.store(number | begin << 16 | end, std::memory_order_release);
  }
  caller_cpu_.store(team <= cpus_ ? sched_getcpu() : -1, std::memory_order_relaxed);
  generation_.fetch_add(1);  // sequentially consistent against sleepers_, see WorkerLoop
  if (sleepers_.load() != 0) {
    { const MutexLock lock(mu_); }
    wake_.NotifyAll();
  }
  RunRanges(0);
  for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::Rest(size_t worker) {
  const MutexLock lock(mu_);
  while (!stop_.load() && worker >= active_.load()) rest_.Wait(mu_);
}

void ThreadPool::WorkerLoop(size_t worker) {
  uint64_t seen = 0;
  while (true) {
    if (worker >= active_.load(std::memory_order_relaxed)) Rest(worker);
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        Pause();
        continue;
      }
      const MutexLock lock(mu_);
      sleepers_.fetch_add(1);
      while (generation_.load() == seen) wake_.Wait(mu_);
      sleepers_.fetch_sub(1);
    }
    seen = generation_.load(std::memory_order_relaxed);
    if (stop_.load()) return;
    const int caller = caller_cpu_.load(std::memory_order_relaxed);
    if (caller >= 0 && caller == sched_getcpu()) LeaveCpu(caller);
    RunRanges(worker);
  }
}

}  // namespace mach
