#include "experts/hot_pins.h"

#include <numeric>

namespace mach::experts {

HotPins::HotPins(size_t layers, size_t experts, size_t per_layer)
    : experts_(experts),
      per_layer_(std::min(per_layer, experts)),
      counts_(layers, experts, kHalfLife),
      visits_(layers, 0),
      hot_(layers * experts, false),
      order_(experts) {
  changed_.reserve(experts);
}

std::span<const ExpertKey> HotPins::OnVisit(uint32_t layer) {
  changed_.clear();
  if (per_layer_ == 0) return {};
  counts_.OnVisit(layer);
  if (++visits_[layer] % kRefreshVisits != 0) return {};

  std::iota(order_.begin(), order_.end(), static_cast<ExpertKey>(layer * experts_));
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(per_layer_);
  std::nth_element(order_.begin(), end - 1, order_.end(), [&](ExpertKey a, ExpertKey b) {
    const double score_a = counts_.Score(a);
    const double score_b = counts_.Score(b);
    return score_a != score_b ? score_a > score_b : a < b;
  });
  for (auto it = order_.begin(); it != order_.end(); ++it) {
    const bool hot = it < end && counts_.Score(*it) > -std::numeric_limits<double>::infinity();
    if (hot != hot_[*it]) changed_.push_back(*it);
    hot_[*it] = hot;
  }
  return changed_;
}

}  // namespace mach::experts
