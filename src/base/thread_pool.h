// A fixed team of threads that split index ranges; nothing else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace mach {

// ParallelFor calls fn(begin, end, worker) on disjoint ranges that cover [0, n), one per worker,
// and returns when all are done. The split depends only on n and threads(); results must not depend
// on it (DESIGN promise 1). One caller at a time; the caller is worker 0. Waiting workers spin for
// some tens of microseconds, since decode calls come that close together, then sleep.
class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t threads() const { return workers_.size() + 1; }

  // grain: ranges are multiples of it (but for the last), so that tiny loops stay on one thread.
  template <class F>
  void ParallelFor(size_t n, size_t grain, F&& fn) {
    Job job{[](void* f, size_t begin, size_t end, size_t worker) {
              (*static_cast<std::remove_reference_t<F>*>(f))(begin, end, worker);
            },
            const_cast<void*>(static_cast<const void*>(&fn)), n, grain == 0 ? 1 : grain};
    Run(job);
  }

 private:
  struct Job {
    void (*call)(void*, size_t, size_t, size_t) = nullptr;
    void* context = nullptr;
    size_t n = 0;
    size_t grain = 1;
  };
  void Run(const Job& job);
  void RunShare(const Job& job, size_t worker) const;
  void WorkerLoop(size_t worker);

  std::vector<std::thread> workers_;
  Job job_;                              // written by the caller before generation_ is advanced
  std::atomic<uint64_t> generation_{0};  // one more for each job; odd jobs do not exist
  std::atomic<size_t> pending_{0};       // workers that have not finished the current job
  std::atomic<bool> stop_{false};
  std::atomic<size_t> sleepers_{0};
  std::mutex mu_;
  std::condition_variable wake_;  // with mu_: a sleeping worker waits for generation_
};

}  // namespace mach
