// How likely the next visit of a layer uses an expert, learned from when experts came again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/catalog.h"

namespace mach::experts {

// Experts are classed by how often they were used lately, as of their last use. For each class and
// each age (visits of their layer since that use, in powers of two) it is counted how many visits
// there were and how many of them used the expert; all layers share these counts. So the estimate
// finds out by itself what recency says and what frequency does: where tokens go on with the
// experts of the token before, ages tell; where they do not, classes do. (Of the family of LHD,
// Beckmann et al., NSDI 2018.) Every call is O(log age).
class ReuseEstimate {
 public:
  static constexpr size_t kClasses = 11;  // 0: never used

  ReuseEstimate(size_t layers, size_t experts);

  void OnVisit(uint32_t layer);
  void OnUse(ExpertKey key);
  size_t Class(ExpertKey key) const { return class_[key]; }
  // Of the next visit of key's layer.
  double Probability(ExpertKey key) const;

 private:
  static constexpr size_t kAges = 24;
  struct Cell {
    double visits = 0;
    double uses = 0;
  };
  // Counts the visits without a use, up to an age.
  void Settle(ExpertKey key, uint64_t age);
  void Forget();

  const size_t experts_;
  std::vector<uint64_t> visits_;      // by layer
  std::vector<size_t> sweep_;         // by layer: the expert that is settled next
  std::vector<uint64_t> last_;        // by key: the visit of its last use
  std::vector<uint64_t> settled_;     // by key: the age up to which visits were counted
  std::vector<double> count_;         // by key: decayed uses, as of the last one
  std::vector<unsigned char> class_;  // by key
  std::array<std::array<Cell, kAges>, kClasses> cells_ = {};
  uint64_t uses_ = 0;  // since it last forgot
};

}  // namespace mach::experts
