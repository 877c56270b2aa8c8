// Progress of long work on standard error: a bar on a terminal, lines otherwise.
#pragma once

#include <cstdint>
#include <string>

namespace mach::cli {

enum class ProgressUnit : unsigned char { kBytes, kTokens };

// What is shown of long work, and when. On a terminal a bar from a quarter of a second on;
// otherwise a line after a second and then at most one every two seconds, and a last one where the
// work took a second. Short work stays silent.
class ProgressText {
 public:
  // what: "loading".
  ProgressText(std::string what, ProgressUnit unit, bool terminal, int64_t start_ns);

  // What is to be written now; lines end with a line break, a bar does not. Empty: nothing.
  std::string Update(int64_t now_ns, uint64_t done, uint64_t total);
  // What ends the bar's line; empty when there is none.
  std::string End();

 private:
  std::string Amount(uint64_t done) const;
  std::string Rate(uint64_t done, double seconds) const;
  std::string Line(uint64_t done, uint64_t total, double seconds) const;
  std::string Bar(uint64_t done, uint64_t total, double seconds);

  const std::string what_;
  const ProgressUnit unit_;
  const bool terminal_;
  const int64_t start_ns_;
  int64_t shown_ns_ = 0;
  size_t bar_width_ = 0;  // of the bar that is on the line; 0: none
  bool finished_ = false;
};

// Where lines go that are no bar.
enum class ProgressLines : unsigned char { kPlain, kLog };

// Shows it on standard error. Used by one thread.
class Progress {
 public:
  Progress(std::string what, ProgressLines lines, ProgressUnit unit = ProgressUnit::kBytes);
  explicit Progress(std::string what) : Progress(std::move(what), ProgressLines::kPlain) {}
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(uint64_t done, uint64_t total);

 private:
  const bool log_;
  ProgressText text_;
};

}  // namespace mach::cli
