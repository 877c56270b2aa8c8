// AsyncReader over pread in a few threads.
#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <unistd.h>

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
      const std::lock_guard lock(mu_);
      stop_ = true;
    }
    work_.notify_all();
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
      const std::lock_guard lock(mu_);
      for (const ReadRequest& request : requests.first(taken)) {
        queue_.push_back({.request = request, .file = &files_[request.file]});
      }
    }
    in_flight_ += taken;
    if (taken == 1) {
      work_.notify_one();
    } else if (taken > 1) {
      work_.notify_all();
    }
    return taken;
  }

  size_t Poll(std::vector<ReadCompletion>& out) override {
    const std::lock_guard lock(mu_);
    return Take(out);
  }
  size_t Wait(std::vector<ReadCompletion>& out) override {
    if (in_flight_ == 0) return 0;
    std::unique_lock lock(mu_);
    finished_.wait(lock, [&] { return !completions_.empty(); });
    return Take(out);
  }

 private:
  // REQUIRES: mu_ is held.
  size_t Take(std::vector<ReadCompletion>& out) {
    const size_t n = completions_.size();
    for (ReadCompletion& completion : completions_) out.push_back(std::move(completion));
    completions_.clear();
    in_flight_ -= n;
    return n;
  }

  void Loop() {
    std::unique_lock lock(mu_);
    for (;;) {
      work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      ReadOperation operation = queue_.front();
      queue_.pop_front();
      lock.unlock();
      ReadCompletion completion = Read(operation);
      lock.lock();
      completions_.push_back(std::move(completion));
      finished_.notify_one();
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

  // Guarded by mu_.
  std::mutex mu_;
  std::condition_variable work_;      // queue_ or stop_
  std::condition_variable finished_;  // completions_
  std::deque<ReadOperation> queue_;
  std::vector<ReadCompletion> completions_;
  bool stop_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<AsyncReader>> CreatePreadReader(const ReaderOptions& options) {
  return std::unique_ptr<AsyncReader>(std::make_unique<PreadReader>(options));
}

}  // namespace mach::io
