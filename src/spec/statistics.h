// Counters of speculation since the start. Written by the decoding thread, read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "spec/draft_config.h"

namespace mach::spec {

struct StatisticsSnapshot {
  uint64_t drafted = 0;          // drafts that were verified
  uint64_t accepted = 0;         // drafts that were accepted
  uint64_t observed_cycles = 0;  // verify passes, those of one row included
  uint64_t low_cycles = 0;       // passes without a draft because none would have paid
  double recent_alpha = 0;       // accepted / drafted, over about the last 32 cycles with drafts
  // By slot j, from 1: how often all drafts before it were accepted, and how often it was, too.
  std::array<uint64_t, kMaxBlock> reached = {};
  std::array<uint64_t, kMaxBlock> accepted_at = {};
};

class Statistics {
 public:
  // A cycle verified `drafts` drafts and accepted the first `accepted`. cut: the answer ended
  // there, so the next slot was not judged. low: there was no draft because none would have paid.
  void AddCycle(size_t drafts, size_t accepted, bool cut, bool low) {
    Add(observed_cycles_, 1);
    if (low) Add(low_cycles_, 1);
    if (drafts == 0) return;
    Add(drafted_, drafts);
    Add(accepted_, accepted);
    for (size_t j = 1; j <= accepted; ++j) {
      Add(reached_[j], 1);
      Add(accepted_at_[j], 1);
    }
    if (accepted < drafts && !cut) Add(reached_[accepted + 1], 1);
    constexpr double kDecay = 1.0 / 32;
    recent_drafted_ += kDecay * (static_cast<double>(drafts) - recent_drafted_);
    recent_accepted_ += kDecay * (static_cast<double>(accepted) - recent_accepted_);
    recent_alpha_.store(recent_accepted_ / recent_drafted_, std::memory_order_relaxed);
  }

  StatisticsSnapshot Snapshot() const {
    StatisticsSnapshot s;
    s.drafted = drafted_.load(std::memory_order_relaxed);
    s.accepted = accepted_.load(std::memory_order_relaxed);
    s.observed_cycles = observed_cycles_.load(std::memory_order_relaxed);
    s.low_cycles = low_cycles_.load(std::memory_order_relaxed);
    s.recent_alpha = recent_alpha_.load(std::memory_order_relaxed);
    for (size_t j = 0; j < kMaxBlock; ++j) {
      s.reached[j] = reached_[j].load(std::memory_order_relaxed);
      s.accepted_at[j] = accepted_at_[j].load(std::memory_order_relaxed);
    }
    return s;
  }

 private:
  using Counter = std::atomic<uint64_t>;
  // One writer: no read-modify-write is needed.
  static void Add(Counter& c, uint64_t n) {
    c.store(c.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  Counter drafted_{0}, accepted_{0}, observed_cycles_{0}, low_cycles_{0};
  std::atomic<double> recent_alpha_{0};
  std::array<Counter, kMaxBlock> reached_ = {};
  std::array<Counter, kMaxBlock> accepted_at_ = {};
  double recent_drafted_ = 0;  // used by the writer alone, as the next one
  double recent_accepted_ = 0;
};

}  // namespace mach::spec
