#include "ops/rope.h"

#include <cmath>

#include <gtest/gtest.h>

namespace mach::ops {
namespace {

constexpr double kHalfUlp = 0x1p-24;

TEST(Rope, FrequenciesFallGeometrically) {
  for (const double theta : {1e4, 1e6, 1e7}) {
    for (const size_t rotary : {2, 8, 64, 128}) {
      const std::vector<float> got = RopeFrequencies(theta, rotary);
      ASSERT_EQ(got.size(), rotary / 2);
      EXPECT_EQ(got[0], 1.0f);
      for (size_t i = 0; i < got.size(); ++i) {
        // theta^(-2i / rotary); the exponent divides by the rotated dimensions.
        const double exact =
            std::exp(-2.0 * static_cast<double>(i) / static_cast<double>(rotary) * std::log(theta));
        EXPECT_NEAR(got[i], exact, 1.001 * kHalfUlp * exact) << theta << " " << rotary << " " << i;
      }
    }
  }
}

// The angle is a product rounded to float32; its cosine and sine are rounded once.
TEST(Rope, AnglesAreRoundedToFloatFirst) {
  const std::vector<float> inv_freq = RopeFrequencies(1e7, 64);
  std::vector<float> cos(32);
  std::vector<float> sin(32);
  for (const size_t position : {0, 1, 2, 63, 64, 1000, 131071, 262143}) {
    RopeAngles(inv_freq, position, cos.data(), sin.data());
    for (size_t i = 0; i < 32; ++i) {
      const float angle = static_cast<float>(position) * inv_freq[i];
      EXPECT_NEAR(cos[i], std::cos(double{angle}), 1.001 * kHalfUlp) << position << " " << i;
      EXPECT_NEAR(sin[i], std::sin(double{angle}), 1.001 * kHalfUlp) << position << " " << i;
    }
  }
  // At the last position a float64 angle would give another cosine.
  const double exact = 262143.0 * double{inv_freq[1]};
  EXPECT_GT(std::abs(std::cos(exact) - double{cos[1]}), 10 * kHalfUlp);
}

TEST(Rope, PositionZeroDoesNotRotate) {
  const std::vector<float> inv_freq = RopeFrequencies(1e6, 32);
  std::vector<float> cos(16, 9.0f);
  std::vector<float> sin(16, 9.0f);
  RopeAngles(inv_freq, 0, cos.data(), sin.data());
  EXPECT_EQ(cos, std::vector<float>(16, 1.0f));
  EXPECT_EQ(sin, std::vector<float>(16, 0.0f));
}

}  // namespace
}  // namespace mach::ops
