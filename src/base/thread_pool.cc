#include "base/thread_pool.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

}  // namespace

ThreadPool::ThreadPool(size_t threads) {
  for (size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { WorkerLoop(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mu_);
    stop_.store(true);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::RunShare(const Job& job, size_t worker) const {
  const size_t grains = (job.n + job.grain - 1) / job.grain;
  const size_t team = threads();
  const size_t begin = grains * worker / team * job.grain;
  const size_t end = std::min(grains * (worker + 1) / team * job.grain, job.n);
  if (begin < end) job.call(job.context, begin, end, worker);
}

void ThreadPool::Run(const Job& job) {
  if (job.n == 0) return;
  if (workers_.empty() || job.n <= job.grain) {
    job.call(job.context, 0, job.n, 0);
    return;
  }
  job_ = job;
  pending_.store(workers_.size(), std::memory_order_relaxed);
  generation_.fetch_add(1);  // sequentially consistent against sleepers_, see WorkerLoop
  if (sleepers_.load() != 0) {
    { std::lock_guard lock(mu_); }
    wake_.notify_all();
  }
  RunShare(job, 0);
  for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::WorkerLoop(size_t worker) {
  uint64_t seen = 0;
  while (true) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        Pause();
        continue;
      }
      std::unique_lock lock(mu_);
      sleepers_.fetch_add(1);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      sleepers_.fetch_sub(1);
    }
    ++seen;
    if (stop_.load()) return;
    RunShare(job_, worker);
    pending_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace mach
