// How often each expert was used, with old uses fading.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "experts/catalog.h"

namespace mach::experts {

// A use at visit v of a layer weighs 2^((v - now) / half_life) at visit `now`. Kept as log2 of the
// sum relative to visit 0, so that fading changes no stored number and no order within a layer.
class DecayedCounts {
 public:
  DecayedCounts(size_t layers, size_t experts, double half_life)
      : experts_(experts),
        rate_(1 / half_life),
        visits_(layers, 0),
        scores_(layers * experts, -std::numeric_limits<double>::infinity()) {}

  void OnVisit(uint32_t layer) { ++visits_[layer]; }
  void OnUse(ExpertKey key) {
    const double now = rate_ * static_cast<double>(visits_[key / experts_]);
    double& score = scores_[key];
    // log2(2^score + 2^now)
    const double most = std::max(score, now);
    score = most + std::log2(1 + std::exp2(std::min(score, now) - most));
  }
  // log2 of the sum relative to visit 0 of the layer: only good for order within a layer.
  double Score(ExpertKey key) const { return scores_[key]; }

 private:
  const size_t experts_;
  const double rate_;
  std::vector<uint64_t> visits_;  // by layer
  std::vector<double> scores_;    // by key
};

}  // namespace mach::experts
