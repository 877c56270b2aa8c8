// Whether prefetching the experts that routers predict pays, found out while running.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mach::experts {

// Passes with and without prefetch alternate in a trial; then the way with the shorter median pass
// is kept for kHold passes, until the next trial. A prediction costs a router product a layer, and
// its reads take disk time from others: where prefetch does not save more than that, it is off.
class PrefetchGate {
 public:
  static constexpr size_t kTurn = 8;     // passes in a row of one way
  static constexpr size_t kTurns = 8;    // of a trial, both ways together
  static constexpr size_t kHold = 1024;  // passes until the next trial
  static constexpr double kGain = 0.98;  // of the time without, to be worth it

  PrefetchGate() {
    for (auto& samples : samples_) samples.reserve(kTurn * kTurns);
  }

  // A pass of so many rows begins; gives whether it should prefetch.
  bool OnPass(int64_t now_ns, size_t rows) {
    // The time of the pass before, when it is like the others.
    if (in_trial() && rows == rows_ && pass_ > 0) {
      samples_[on_ ? 1 : 0].push_back(now_ns - last_ns_);
    }
    last_ns_ = now_ns;
    rows_ = rows;
    if (pass_ == kTurn * kTurns) {
      pays_ = !samples_[0].empty() && !samples_[1].empty() &&
              Median(samples_[1]) < kGain * Median(samples_[0]);
    } else if (pass_ == kTurn * kTurns + kHold) {
      pass_ = 0;
      for (auto& samples : samples_) samples.clear();
    }
    on_ = pass_ < kTurn * kTurns ? pass_ / kTurn % 2 == 0 : pays_;
    ++pass_;
    return on_;
  }
  bool pays() const { return pays_; }  // by the last trial

 private:
  bool in_trial() const { return pass_ <= kTurn * kTurns; }
  static double Median(std::vector<int64_t>& v) {
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    std::nth_element(v.begin(), middle, v.end());
    return static_cast<double>(*middle);
  }

  size_t pass_ = 0;  // since the trial began
  bool on_ = false;
  bool pays_ = false;
  int64_t last_ns_ = 0;
  size_t rows_ = 0;
  std::vector<int64_t> samples_[2];  // pass times without and with
};

}  // namespace mach::experts
