// Rotary position embedding tables (NeoX halves, architectures.md 0.2).
#pragma once

#include <cstddef>
#include <vector>

namespace mach::ops {

// inv_freq[i] = theta^(-2i / rotary), i < rotary / 2, in float32 as the references compute it.
std::vector<float> RopeFrequencies(double theta, size_t rotary);

// cos and sin of position * inv_freq, the angle in float32: [rotary / 2] each.
void RopeAngles(const std::vector<float>& inv_freq, size_t position, float* cos, float* sin);

}  // namespace mach::ops
