#include "ops/rope.h"

#include <cmath>

namespace mach::ops {

std::vector<float> RopeFrequencies(double theta, size_t rotary) {
  std::vector<float> frequencies(rotary / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rotary);
    frequencies[i] = static_cast<float>(1.0 / std::pow(theta, exponent));
  }
  return frequencies;
}

void RopeAngles(const std::vector<float>& inv_freq, size_t position, float* cos, float* sin) {
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    // The float32 product is converted to float64: cos and sin in float64, rounded to float32, are
    // the same in every libm.
    const double angle = static_cast<float>(position) * inv_freq[i];
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace mach::ops
