// Counts of observations in fixed buckets, as Prometheus has them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace mach {

struct HistogramSnapshot {
  std::vector<double> bounds;    // upper ones, ascending; a last bucket takes what is beyond
  std::vector<uint64_t> counts;  // of each bucket alone: bounds.size() + 1
  double sum = 0;
  uint64_t count = 0;
};

// Observe and Read from any thread; neither waits. A Read amid observations may miss the newest.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)),
        counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {}

  void Observe(double value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    double sum = sum_.load(std::memory_order_relaxed);
    while (!sum_.compare_exchange_weak(sum, sum + value, std::memory_order_relaxed)) {
    }
  }

  HistogramSnapshot Read() const {
    HistogramSnapshot snapshot;
    snapshot.bounds = bounds_;
    for (size_t i = 0; i <= bounds_.size(); ++i) {
      snapshot.counts.push_back(counts_[i].load(std::memory_order_relaxed));
      snapshot.count += snapshot.counts.back();
    }
    snapshot.sum = sum_.load(std::memory_order_relaxed);
    return snapshot;
  }

 private:
  const std::vector<double> bounds_;
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

}  // namespace mach
