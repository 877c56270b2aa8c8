// The elementary functions, once. Vector code (lanes-inl.h) evaluates the same operations in
// the same order with the same constants, so that each lane equals these functions bit for bit.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace mach::kernels {

// exp(x) = 2^n * e^r with n = round(x / ln 2), |r| <= ln(2) / 2, and e^r = 1 + r + r^2 P(r), P of
// degree 5 (the coefficients of Cephes expf). Within 2 ulp where the result is normal; 0 below
// kExpLow, infinity above kExpHigh, NaN for NaN.
inline constexpr float kExpLow = -104.0f;  // exp rounds to 0
inline constexpr float kExpHigh = 89.0f;   // exp is above the largest float
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kNegLn2High = -0.693359375f;  // 9 bits: n * kNegLn2High is exact
inline constexpr float kNegLn2Low = 2.12194440e-4f;
// Added and subtracted, rounds |x| < 2^22 to the nearest integer, ties to even, and leaves that
// integer in the low bits of the sum.
inline constexpr float kRoundMagic = 0x1.8p23f;
inline constexpr float kExpP5 = 1.9875691500e-4f;
inline constexpr float kExpP4 = 1.3981999507e-3f;
inline constexpr float kExpP3 = 8.3334519073e-3f;
inline constexpr float kExpP2 = 4.1665795894e-2f;
inline constexpr float kExpP1 = 1.6666665459e-1f;
inline constexpr float kExpP0 = 5.0000001201e-1f;

// Groups whose largest magnitude is below this quantize to zero: 127 / max would overflow.
inline constexpr float kQuantizeLeast = 0x1p-100f;
inline constexpr float kQuantizeMost = std::numeric_limits<float>::max();

// The scale of a group that has no codes, by its largest magnitude: 0, or NaN where that is not
// finite, so that every product with the group is NaN too.
inline float ScaleWithoutCodes(float most) {
  return most < kQuantizeLeast ? 0.0f : std::numeric_limits<float>::quiet_NaN();
}

inline float PowerOfTwo(uint32_t n) { return std::bit_cast<float>((n + 127) << 23); }

inline float Exp(float x) {
  x = x < kExpLow ? kExpLow : x;
  x = x > kExpHigh ? kExpHigh : x;
  const float shifted = std::fma(x, kLog2E, kRoundMagic);
  const float n = shifted - kRoundMagic;
  float r = std::fma(n, kNegLn2High, x);
  r = std::fma(n, kNegLn2Low, r);
  float p = std::fma(r, kExpP5, kExpP4);
  p = std::fma(r, p, kExpP3);
  p = std::fma(r, p, kExpP2);
  p = std::fma(r, p, kExpP1);
  p = std::fma(r, p, kExpP0);
  p = std::fma(r * r, p, r) + 1.0f;
  // 2^n in two factors: n reaches from -150 to 128.
  const uint32_t integer = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRoundMagic);
  const auto half = static_cast<uint32_t>(static_cast<int32_t>(integer) >> 1);
  return p * PowerOfTwo(half) * PowerOfTwo(integer - half);
}

// x * sigmoid(gate), with one rounding for the product and the sigmoid together.
inline float SigmoidMul(float x, float gate) { return x / (1.0f + Exp(-gate)); }
inline float Silu(float x) { return SigmoidMul(x, x); }

// 1 / sqrt(x + eps), the factor of the norms.
inline float InverseRoot(float x, float eps) { return 1.0f / std::sqrt(x + eps); }

// What attention_merge multiplies the two results by.
struct MergeFactors {
  float maximum;
  float first;
  float second;
};
inline MergeFactors FactorsOfMerge(float maximum, float maximum2) {
  const float most = maximum > maximum2 ? maximum : maximum2;
  // Compared first: two empty results have -inf - -inf.
  return {most, maximum == most ? 1.0f : Exp(maximum - most),
          maximum2 == most ? 1.0f : Exp(maximum2 - most)};
}

// The lanes that every reduction is spread over; see table.h.
inline constexpr size_t kLanes = 16;

// Folds 16 partial sums 8, 4, 2 and 1 apart.
inline float FoldSums(float* sums) {
  for (size_t apart = kLanes / 2; apart > 0; apart /= 2) {
    for (size_t i = 0; i < apart; ++i) sums[i] += sums[i + apart];
  }
  return sums[0];
}

}  // namespace mach::kernels
