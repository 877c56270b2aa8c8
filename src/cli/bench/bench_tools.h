// What the benchmarks share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_memory.h"
#include "cli/exit_codes.h"
#include "io/async_reader.h"

namespace mach::cli {

inline double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of what was measured at least once.
inline double Median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

inline int BenchFailed(std::string_view name, const Error& error) {
  std::fprintf(stderr, "mach bench %s: %s\n", std::string(name).c_str(), error.message.c_str());
  return kExitFailure;
}

// Records of one size, some of them in flight all the time.
struct ReadPattern {
  io::ReadMode mode = io::ReadMode::kIoUring;
  std::vector<std::string> files;
  size_t record_bytes = 0;
  size_t depth = 1;
  bool random = true;  // else in the order of the files
};

// A reader alone, with nothing to verify or compute.
class ReadRate {
 public:
  // The files are at least a record long. `memory` must outlive this and hold depth records.
  static Result<ReadRate> Create(const ReadPattern& pattern, std::span<std::byte> memory);
  // Bytes a second over about so many seconds.
  Result<double> Measure(double seconds, uint64_t seed);

 private:
  ReadPattern pattern_;
  std::span<std::byte> memory_;
  std::unique_ptr<io::AsyncReader> reader_;
  std::vector<uint64_t> records_before_;  // of each file, and of all
};

}  // namespace mach::cli
