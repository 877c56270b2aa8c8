// What the HTTP server has answered.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mach::server {

// Any thread; nothing waits.
class HttpCounters {
 public:
  static constexpr size_t kStatuses = 600;

  // 499: the client left before the end.
  void Count(int status) {
    const auto index = static_cast<size_t>(status);
    if (status > 0 && index < kStatuses) answers_[index].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t answers(size_t status) const { return answers_[status].load(std::memory_order_relaxed); }
  std::atomic<uint64_t> open_connections{0};

 private:
  std::array<std::atomic<uint64_t>, kStatuses> answers_{};
};

}  // namespace mach::server
