#include "spec/certainty.h"

#include <limits>

namespace mach::spec {
namespace {

// In lanes, which a compiler turns into vectors.
float LargestOf(const float* x, size_t n) {
  constexpr size_t kLanes = 32;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  size_t at = 0;
  for (; at + kLanes <= n; at += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = x[at + i] > lanes[i] ? x[at + i] : lanes[i];
  }
  for (; at < n; ++at) lanes[0] = std::max(lanes[0], x[at]);
  return *std::max_element(lanes, lanes + kLanes);
}

}  // namespace

float LogitMargin(std::span<const float> logits, TokenId token) {
  const auto at = static_cast<size_t>(token);
  const float* after = logits.data() + at + 1;
  return logits[at] -
         std::max(LargestOf(logits.data(), at), LargestOf(after, logits.size() - at - 1));
}

}  // namespace mach::spec
