// What share of expert requests a bank of a given size will answer, before any was made.
#pragma once

#include <cstddef>

namespace mach::experts {

// An estimate, for planning only: routing is taken to be independent from token to token and as
// skewed as a Zipf law of exponent 1.2, which gives what was published for Qwen3-30B-A3B, GLM and
// DeepSeek within a few points (25 % of the experts resident: 76 to 81 % hits); models that route
// evenly (Mixtral, OLMoE) stay below it. The bank is an LRU by Che's approximation: an expert of
// probability p is there when it was asked for within the characteristic time T,
//   sum_i (1 - exp(-p_i T)) = slots,   hits = sum_i p_i (1 - exp(-p_i T)).
// experts: of one layer. slots: the layer's share of the bank, may be fractional.
double EstimateHitRate(size_t experts, double slots);

}  // namespace mach::experts
