// The experts of each layer that stay in the bank whatever the policy says (LME_DECODE_RESIDENCY
// pin-hot).
#pragma once

#include <span>
#include <vector>

#include "experts/decayed_counts.h"

namespace mach::experts {

// The most used experts of each layer, chosen anew after some visits. History fades, so that a hot
// set never outlives the talk that made it hot.
class HotPins {
 public:
  static constexpr uint64_t kRefreshVisits = 32;
  static constexpr double kHalfLife = 512;  // visits

  // per_layer: experts pinned in each layer; 0 pins none.
  HotPins(size_t layers, size_t experts, size_t per_layer);

  bool IsHot(ExpertKey key) const { return hot_[key]; }
  void OnUse(ExpertKey key) {
    if (per_layer_ != 0) counts_.OnUse(key);
  }
  // Gives the keys of the layer that became hot or ceased to be; valid until the next call.
  std::span<const ExpertKey> OnVisit(uint32_t layer);

 private:
  const size_t experts_;
  const size_t per_layer_;
  DecayedCounts counts_;
  std::vector<uint64_t> visits_;  // by layer
  std::vector<bool> hot_;         // by key
  std::vector<ExpertKey> order_;
  std::vector<ExpertKey> changed_;
};

}  // namespace mach::experts
