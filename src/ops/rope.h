// Tables of the rotary position embedding. Dimension i of a head is rotated with dimension
// i + rotary / 2 (NeoX layout); kernels::VectorKernels::rope applies them.
#pragma once

#include <cstddef>
#include <vector>

namespace mach::ops {

// inv_freq[i] = theta^(-2i / rotary) for i < rotary / 2, rounded to float32.
std::vector<float> RopeFrequencies(double theta, size_t rotary);

// cos[i] and sin[i] of the angle position * inv_freq[i], for i < inv_freq.size(). The angle is
// rounded to float32 first, as in the reference implementations.
void RopeAngles(const std::vector<float>& inv_freq, size_t position, float* cos, float* sin);

}  // namespace mach::ops
