#include "cli/progress.h"

#include <cstdio>

#include <unistd.h>

#include "base/clock.h"

namespace mach::cli {
namespace {

constexpr int64_t kSilentNs = 250'000'000;
constexpr int64_t kRedrawNs = 100'000'000;
constexpr int kLineStep = 5;  // percent between lines
constexpr int kBarWidth = 30;

int64_t Now() { return SystemClock().NowNs(); }

}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0), start_ns_(Now()) {}

Progress::~Progress() {
  if (open_) std::fputs("\n", stderr);
}

void Progress::Update(uint64_t done, uint64_t total) {
  const int64_t now = Now();
  if (total == 0 || now - start_ns_ < kSilentNs) return;
  const int percent =
      static_cast<int>(static_cast<double>(done) * 100 / static_cast<double>(total));
  const double seconds = static_cast<double>(now - start_ns_) * 1e-9;
  const double rate = static_cast<double>(done) / seconds;
  const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
  if (!terminal_) {
    if (percent < percent_ + kLineStep && percent_ >= 0) return;
    percent_ = percent - percent % kLineStep;
    std::fprintf(stderr, "%s %d %% of %.1f MB, %.0f MB/s, %.0f s left\n", what_.c_str(), percent,
                 static_cast<double>(total) * 1e-6, rate * 1e-6, left);
    return;
  }
  if (now - drawn_ns_ < kRedrawNs && done != total) return;
  drawn_ns_ = now;
  const int filled = percent * kBarWidth / 100;
  std::fprintf(stderr, "\r%s [%.*s%*s] %3d %%  %.0f MB/s  %.0f s left ", what_.c_str(), filled,
               "##############################", kBarWidth - filled, "", percent, rate * 1e-6,
               left);
  open_ = true;
}

}  // namespace mach::cli
