// AsyncReader over pread in a few threads.
#include <algorithm>
#include <cerrno>
#include <deque>
#include <thread>

#include <unistd.h>

#include "base/mutex.h"
#include "io/read_operation.h"

namespace mach::io {
namespace {

class PreadReader final : public AsyncReader {
 public:
  explicit PreadReader(const ReaderOptions& options) : options_(options) {
    completions_.reserve(options.depth);
    threads_.reserve(options.threads);
    for (size_t i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Loop(); });
  }
  ~PreadReader() override {
    {
      const MutexLock lock(mu_);
      stop_ = true;
    }
    work_.NotifyAll();
    for (std::thread& thread : threads_) thread.join();
  }

  ReadMode mode() const override { return ReadMode::kPread; }
  size_t depth() const override { return options_.depth; }
  size_t in_flight() const override { return in_flight_; }

  Result<uint32_t> AddFile(const std::string& path) override {
    MACH_CHECK(in_flight_ == 0);
    MACH_TRY(DirectFile file, OpenDirect(path, options_.direct));
    files_.push_back(std::move(file));
    return static_cast<uint32_t>(files_.size() - 1);
  }
  uint64_t FileBytes(uint32_t file) const override {
    MACH_CHECK(file < files_.size());
    return files_[file].size;
  }
  size_t RegisterBuffers(std::span<const std::span<std::byte>>) override { return 0; }

  Result<size_t> Submit(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) {
      MACH_RETURN_IF_ERROR(CheckRequest(request, files_));
    }
    const size_t taken = std::min(requests.size(), options_.depth - in_flight_);
    {
      const MutexLock lock(mu_);
      for (const ReadRequest& request : requests.first(taken)) {
        queue_.push_back({.request = request, .file = &files_[request.file]});
      }
    }
    in_flight_ += taken;
    if (taken == 1) {
      work_.NotifyOne();
    } else if (taken > 1) {
      work_.NotifyAll();
    }
    return taken;
  }

  size_t Poll(std::vector<ReadCompletion>& out) override {
    const MutexLock lock(mu_);
    return Take(out);
  }
  size_t Wait(std::vector<ReadCompletion>& out) override {
    if (in_flight_ == 0) return 0;
    const MutexLock lock(mu_);
    while (completions_.empty()) finished_.Wait(mu_);
    return Take(out);
  }

 private:
  size_t Take(std::vector<ReadCompletion>& out) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const size_t n = completions_.size();
    for (ReadCompletion& completion : completions_) out.push_back(std::move(completion));
    completions_.clear();
    in_flight_ -= n;
    return n;
  }

  void Loop() {
    MutexLock lock(mu_);
    for (;;) {
      while (!stop_ && queue_.empty()) work_.Wait(mu_);
      if (stop_) return;
      ReadOperation operation = queue_.front();
      queue_.pop_front();
      lock.Unlock();
      ReadCompletion completion = Read(operation);
      lock.Lock();
      completions_.push_back(std::move(completion));
      finished_.NotifyOne();
    }
  }

  ReadCompletion Read(ReadOperation& operation) const {
    for (;;) {
      const std::span<std::byte> out = operation.destination();
      const ssize_t n = pread(operation.file->fd.get(), out.data(), out.size(),
                              static_cast<off_t>(operation.offset()));
      auto completion = operation.Advance(n < 0 ? -errno : n, options_.interceptor);
      if (completion) return *std::move(completion);
    }
  }

  // Of the caller's thread. files_ does not change while anything is in flight.
  const ReaderOptions options_;
  std::vector<DirectFile> files_;
  size_t in_flight_ = 0;

  Mutex mu_;
  CondVar work_;      // queue_ or stop_
  CondVar finished_;  // completions_
  std::deque<ReadOperation> queue_ GUARDED_BY(mu_);
  std::vector<ReadCompletion> completions_ GUARDED_BY(mu_);
  bool stop_ GUARDED_BY(mu_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<AsyncReader>> CreatePreadReader(const ReaderOptions& options) {
  return std::unique_ptr<AsyncReader>(std::make_unique<PreadReader>(options));
}

}  // namespace mach::io
