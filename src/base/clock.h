// Time as an interface, so that tests own it.
#pragma once

#include <cstdint>

namespace mach {

constexpr double ToMilliseconds(int64_t ns) { return static_cast<double>(ns) * 1e-6; }
constexpr double ToSeconds(int64_t ns) { return static_cast<double>(ns) * 1e-9; }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t NowNs() const = 0;        // monotonic
  virtual int64_t UnixSeconds() const = 0;  // wall clock
};

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  int64_t NowNs() const override;
  int64_t UnixSeconds() const override;
};

}  // namespace mach
