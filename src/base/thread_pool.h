// A fixed team of threads that split index ranges; nothing else.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/aligned_memory.h"
#include "base/mutex.h"

namespace mach {

// ParallelFor calls fn(begin, end, worker) on disjoint ranges that cover [0, n), and returns when
// all are done. Every worker has a share of the ranges; an idle worker steals ranges from the
// shares of others, so a preempted worker delays the loop by at most its current range. The split
// depends on n and active() alone, which worker runs a range is open; results must depend on
// neither (DESIGN promise 1). A worker runs one range at a time: scratch by worker, of threads()
// workers, is safe. One caller at a time; the caller is worker 0. Waiting workers spin for some
// tens of microseconds, since decode calls come that close together, then sleep.
class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t threads() const { return workers_.size() + 1; }

  // How many of them take part from the next ParallelFor on; all, at first. The others sleep.
  // REQUIRES: 1 <= threads <= threads(); called by the caller of ParallelFor, between two of them.
  void Limit(size_t threads);
  size_t active() const { return active_.load(std::memory_order_relaxed); }

  // grain: ranges are multiples of it (but for the last), so that tiny loops stay on one thread.
  template <class F>
  void ParallelFor(size_t n, size_t grain, F&& fn) {
    Job job{[](void* f, size_t begin, size_t end, size_t worker) {
              (*static_cast<std::remove_reference_t<F>*>(f))(begin, end, worker);
            },
            const_cast<void*>(static_cast<const void*>(&fn)), n, grain == 0 ? 1 : grain, 0};
    Run(job);
  }

 private:
  struct Job {
    void (*call)(void*, size_t, size_t, size_t) = nullptr;
    void* context = nullptr;
    size_t n = 0;
    size_t grain = 1;
    size_t ranges = 0;
  };
  // The ranges of one worker's share that nobody has taken: begin and end in the low 32 bits, 16
  // each. The high bits count jobs, so that a hand that reached for a range of an earlier job finds
  // another number.
  struct alignas(kCacheLineBytes) Share {
    std::atomic<uint64_t> left{0};
  };
  void Run(Job job);
  void RunRanges(size_t worker);
  static bool Take(Share& share, bool front, size_t& range);
  void WorkerLoop(size_t worker);
  void Rest(size_t worker);

  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;  // by worker
  Job job_;  // written by the caller while no range is left; read by who has taken one
  std::atomic<uint64_t> generation_{0};  // one more for each job
  std::atomic<size_t> pending_{0};       // ranges of the job that are not done
  // Where the caller of the job runs. A scheduler may wake a worker there though other processors
  // idle, and leave the two to share it for long: the worker goes elsewhere. -1: there are fewer
  // processors than threads, so some must share.
  std::atomic<int> caller_cpu_{-1};
  const size_t cpus_;
  std::atomic<size_t> active_;  // changed with mu_
  std::atomic<bool> stop_{false};
  std::atomic<size_t> sleepers_{0};
  Mutex mu_;
  CondVar wake_;  // with mu_: a sleeping worker waits for generation_
  CondVar rest_;  // with mu_: a worker beyond active_ waits to be needed
};

}  // namespace mach
