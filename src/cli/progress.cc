#include "cli/progress.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

namespace mach::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kFirstBarNs = kSecond / 4;
constexpr int64_t kRedrawNs = kSecond / 10;
constexpr int64_t kFirstLineNs = kSecond;
constexpr int64_t kLineNs = 2 * kSecond;
constexpr size_t kBarWidth = 30;

int64_t Now() { return SystemClock().NowNs(); }

uint64_t Percent(uint64_t done, uint64_t total) {
  return static_cast<uint64_t>(static_cast<double>(done) * 100 / static_cast<double>(total));
}

std::string Left(uint64_t done, uint64_t total, double seconds) {
  if (done == 0 || done > total) return "";
  return DurationText(seconds * static_cast<double>(total - done) / static_cast<double>(done)) +
         " left";
}

}  // namespace

ProgressText::ProgressText(std::string what, ProgressUnit unit, bool terminal, int64_t start_ns)
    : what_(std::move(what)), unit_(unit), terminal_(terminal), start_ns_(start_ns) {}

std::string ProgressText::Amount(uint64_t done) const {
  return unit_ == ProgressUnit::kBytes ? BytesText(done) : std::to_string(done) + " tokens";
}

std::string ProgressText::Rate(uint64_t done, double seconds) const {
  return Amount(static_cast<uint64_t>(static_cast<double>(done) / seconds)) + "/s";
}

std::string ProgressText::Line(uint64_t done, uint64_t total, double seconds) const {
  if (done >= total) {
    return what_ + ": done, " + Amount(total) + " in " + DurationText(seconds) + ", " +
           Rate(total, seconds) + "\n";
  }
  const std::string left = Left(done, total, seconds);
  return what_ + ": " + std::to_string(Percent(done, total)) + " % of " + Amount(total) + ", " +
         Rate(done, seconds) + (left.empty() ? "" : ", " + left) + "\n";
}

std::string ProgressText::Bar(uint64_t done, uint64_t total, double seconds) {
  const uint64_t percent = Percent(std::min(done, total), total);
  const size_t filled = percent * kBarWidth / 100;
  std::string bar = what_ + " [" + std::string(filled, '#') + std::string(kBarWidth - filled, ' ') +
                    "] " + std::to_string(percent) + " %  " + Rate(done, seconds) + "  " +
                    Left(done, total, seconds);
  const size_t width = bar.size();
  if (width < bar_width_) bar.resize(bar_width_, ' ');  // over what was longer
  bar_width_ = width;
  return "\r" + bar;
}

std::string ProgressText::Update(int64_t now_ns, uint64_t done, uint64_t total) {
  const int64_t first = terminal_ ? kFirstBarNs : kFirstLineNs;
  const int64_t step = terminal_ ? kRedrawNs : kLineNs;
  const bool last = done >= total;
  if (total == 0 || now_ns - start_ns_ < first || finished_) return "";
  if (!last && shown_ns_ != 0 && now_ns - shown_ns_ < step) return "";
  shown_ns_ = now_ns;
  finished_ = last;
  const double seconds = static_cast<double>(now_ns - start_ns_) / kSecond;
  return terminal_ ? Bar(done, total, seconds) : Line(done, total, seconds);
}

std::string ProgressText::End() {
  if (bar_width_ == 0) return "";
  bar_width_ = 0;
  return "\n";
}

Progress::Progress(std::string what, ProgressLines lines, ProgressUnit unit)
    : log_(lines == ProgressLines::kLog && isatty(STDERR_FILENO) == 0),
      text_(std::move(what), unit, isatty(STDERR_FILENO) != 0, Now()) {}

Progress::~Progress() { std::fputs(text_.End().c_str(), stderr); }

void Progress::Update(uint64_t done, uint64_t total) {
  std::string text = text_.Update(Now(), done, total);
  if (text.empty()) return;
  if (log_) {
    text.pop_back();
    LogInfo(text);
  } else {
    std::fputs(text.c_str(), stderr);
  }
}

}  // namespace mach::cli
