// Progress of long work on standard error: a bar on a terminal, lines otherwise.
#pragma once

#include <cstdint>
#include <string>

namespace mach::cli {

// Used by one thread. Nothing is drawn before the work has taken a quarter of a second, so that
// short work stays silent.
class Progress {
 public:
  // what: "loading".
  explicit Progress(std::string what);
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(uint64_t done_bytes, uint64_t total_bytes);

 private:
  const std::string what_;
  const bool terminal_;
  const int64_t start_ns_;
  int64_t drawn_ns_ = 0;
  int percent_ = -1;  // last one shown
  bool open_ = false;
};

}  // namespace mach::cli
