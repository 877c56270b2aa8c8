// Keeps what a client can cause at will from filling the log.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/mutex.h"

namespace mach {

// Lets `burst` lines of a kind through at once, and then one in an interval. Thread-safe.
class LogLimit {
 public:
  LogLimit(int64_t burst, std::chrono::nanoseconds interval)
      : full_ns_(burst * interval.count()), interval_ns_(interval.count()), credit_ns_(full_ns_) {}

  // Nothing: the line is to be left out. Else how many were since the last one that was not.
  std::optional<uint64_t> Admit(int64_t now_ns) {
    const MutexLock lock(mu_);
    if (last_ns_ && now_ns > *last_ns_) {
      credit_ns_ = std::min(full_ns_, credit_ns_ + now_ns - *last_ns_);
    }
    last_ns_ = std::max(now_ns, last_ns_.value_or(now_ns));
    if (credit_ns_ < interval_ns_) {
      ++left_out_;
      return std::nullopt;
    }
    credit_ns_ -= interval_ns_;
    const uint64_t left_out = left_out_;
    left_out_ = 0;
    return left_out;
  }

 private:
  const int64_t full_ns_;
  const int64_t interval_ns_;
  Mutex mu_;
  int64_t credit_ns_ GUARDED_BY(mu_);
  std::optional<int64_t> last_ns_ GUARDED_BY(mu_);
  uint64_t left_out_ GUARDED_BY(mu_) = 0;
};

}  // namespace mach
