// Faults for asynchronous reads, for tests: below a reader (what the system says) and above it
// (what its user sees).
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "io/async_reader.h"

namespace mach::io {

// Makes single reads of the system short, interrupted or fail.
class FaultInterceptor final : public ReadInterceptor {
 public:
  struct Faults {
    uint64_t at = 0;             // the Nth read, from 1; 0 is every one
    uint64_t count = 1;          // that one and so many in all
    int error = 0;               // errno that it gives
    size_t max_read = SIZE_MAX;  // or the bytes that it gives at most
  };
  explicit FaultInterceptor(const Faults& faults) : faults_(faults) {}

  uint64_t reads() const { return reads_; }

  int64_t OnResult(const std::string&, uint64_t, size_t, int64_t result) override {
    const uint64_t read = ++reads_;
    if (faults_.at != 0 && (read < faults_.at || read - faults_.at >= faults_.count)) return result;
    if (faults_.error != 0) return -int64_t{faults_.error};
    return result < 0 ? result : std::min(result, static_cast<int64_t>(faults_.max_read));
  }

 private:
  const Faults faults_;
  std::atomic<uint64_t> reads_ = 0;
};

// Fails some requests of another reader, takes fewer at a time, and gives completions late and in a
// bad order.
class FaultReader final : public AsyncReader {
 public:
  struct Faults {
    uint64_t fail = 0;            // the Nth request, from 1; 0 is none
    bool persistent = false;      // that one and all later ones
    size_t max_taken = SIZE_MAX;  // requests that one Submit takes at most
    bool reverse = false;         // the last completion of each Poll or Wait first
    // Not 0: completions are held back and come in a random order by this seed, one at a Wait and
    // none or one at a Poll.
    uint64_t shuffle = 0;
  };
  FaultReader(std::unique_ptr<AsyncReader> base, const Faults& faults)
      : base_(std::move(base)), faults_(faults) {}

  // From now on; requests count from 1 again.
  void SetFaults(const Faults& faults) {
    faults_ = faults;
    requests_ = 0;
  }
  uint64_t requests() const { return requests_; }

  ReadMode mode() const override { return base_->mode(); }
  size_t depth() const override { return base_->depth(); }
  size_t in_flight() const override { return base_->in_flight() + failed_.size() + held_.size(); }
  Result<uint32_t> AddFile(const std::string& path) override { return base_->AddFile(path); }
  uint64_t FileBytes(uint32_t file) const override { return base_->FileBytes(file); }
  size_t RegisterBuffers(std::span<const std::span<std::byte>> buffers) override {
    return base_->RegisterBuffers(buffers);
  }

  Result<size_t> Submit(std::span<const ReadRequest> requests) override {
    size_t taken = 0;
    for (const ReadRequest& request :
         requests.first(std::min(requests.size(), faults_.max_taken))) {
      const uint64_t number = requests_ + 1;
      if (faults_.fail != 0 &&
          (number == faults_.fail || (faults_.persistent && number > faults_.fail))) {
        if (in_flight() >= depth()) break;
        failed_.push_back({request.tag, Error{Code::kIo, "injected"}});
      } else {
        MACH_TRY(const size_t n, base_->Submit(std::span(&request, 1)));
        if (n == 0) break;
      }
      requests_ = number;
      ++taken;
    }
    return taken;
  }

  size_t Poll(std::vector<ReadCompletion>& out) override {
    if (faults_.shuffle != 0 || !held_.empty()) {
      TakeFailed(held_);
      base_->Poll(held_);
      return Draw(1) == 0 ? 0 : Release(out);
    }
    const size_t before = out.size();
    TakeFailed(out);
    base_->Poll(out);
    return Order(out, before);
  }
  size_t Wait(std::vector<ReadCompletion>& out) override {
    if (faults_.shuffle != 0 || !held_.empty()) {
      TakeFailed(held_);
      while (base_->in_flight() > 0) base_->Wait(held_);
      return Release(out);
    }
    const size_t before = out.size();
    TakeFailed(out);
    if (out.size() == before) base_->Wait(out);
    return Order(out, before);
  }

 private:
  void TakeFailed(std::vector<ReadCompletion>& out) {
    for (ReadCompletion& completion : failed_) out.push_back(std::move(completion));
    failed_.clear();
  }
  // Uniform in 0 to most.
  size_t Draw(size_t most) {
    const double u = UniformAt(faults_.shuffle, draws_++);
    return std::min(most, static_cast<size_t>(u * static_cast<double>(most + 1)));
  }
  size_t Release(std::vector<ReadCompletion>& out) {
    if (held_.empty()) return 0;
    const size_t i = Draw(held_.size() - 1);
    out.push_back(std::move(held_[i]));
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
    return 1;
  }
  size_t Order(std::vector<ReadCompletion>& out, size_t before) const {
    if (faults_.reverse) {
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
    }
    return out.size() - before;
  }

  const std::unique_ptr<AsyncReader> base_;
  Faults faults_;
  uint64_t requests_ = 0;
  uint64_t draws_ = 0;
  std::vector<ReadCompletion> failed_;
  std::vector<ReadCompletion> held_;
};

}  // namespace mach::io
