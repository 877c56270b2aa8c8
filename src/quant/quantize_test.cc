#include "quant/quantize.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tensor/dtype.h"

namespace mach::quant {
namespace {

constexpr double kHalfBF16 = 1.0 / 256;  // relative error of a rounded scale or bias

double Uniform(uint64_t i) { return 2 * UniformAt(7, i) - 1; }

// The same steps in double: the codes, and what they mean before scale and bias are stored.
struct Exact {
  double scale = 0;
  double bias = 0;
};
Exact ExactGroup(std::span<const float> w, int bits) {
  double low = w[0], high = w[0];
  for (const float x : w) {
    low = std::min<double>(low, x);
    high = std::max<double>(high, x);
  }
  const double codes = (1 << bits) - 1;
  const bool low_edge = std::abs(low) > std::abs(high);
  Exact g{std::max((high - low) / codes, 1e-7), 0};
  if (!low_edge) g.scale = -g.scale;
  const double edge = low_edge ? low : high;
  const double zero = std::nearbyint(edge / g.scale);
  if (zero != 0) g = {edge / zero, edge};
  return g;
}

void Check(std::span<const float> weights, size_t rows, size_t cols, int bits, int group) {
  const AffineMatrix m = QuantizeAffine(weights, rows, cols, bits, group);
  const AffineView view = m.view();
  ASSERT_EQ(m.packed.size(), rows * cols * static_cast<size_t>(bits) / 8);
  const auto width = static_cast<size_t>(group);
  const double codes = (1 << bits) - 1;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t g = 0; g < cols / width; ++g) {
      const auto w = weights.subspan(row * cols + g * width, width);
      const Exact exact = ExactGroup(w, bits);
      const double stored_scale =
          tensor::LoadFloat(tensor::DType::kBF16, m.scales.data() + 2 * (row * (cols / width) + g));
      EXPECT_NEAR(stored_scale, exact.scale, std::abs(exact.scale) * kHalfBF16 * 1.001);
      for (size_t c = 0; c < width; ++c) {
        const double code = AffineCode(view, row, g * width + c);
        ASSERT_LE(code, codes);
        // Half a step, before scale and bias are rounded to bf16. But where moving zero onto a code
        // shortened the steps, the far end of the group is up to a step beyond the last code.
        const double meant = exact.bias + exact.scale * code;
        EXPECT_LE(std::abs(meant - w[c]), std::abs(exact.scale) * (code == codes ? 1.0 : 0.5001))
            << bits << " bits, row " << row << " group " << g << " column " << c;
        const double rounding =
            kHalfBF16 * (std::abs(exact.bias) + std::abs(exact.scale) * codes) + 1e-7;
        EXPECT_NEAR(AffineValue(view, row, g * width + c), meant, rounding);
      }
    }
  }
}

TEST(QuantizeAffine, StaysWithinHalfAStepButForTheFarEnd) {
  for (const int bits : {4, 8}) {
    for (const int group : {32, 64, 128}) {
      std::vector<float> w(3 * 256);
      for (const double shift : {0.0, 0.6, -0.6, 3.0}) {
        for (size_t i = 0; i < w.size(); ++i) {
          w[i] = static_cast<float>(0.05 * (Uniform(i) + shift));
        }
        Check(w, 3, 256, bits, group);
      }
    }
  }
}

// One large weight decides the scale of its group.
TEST(QuantizeAffine, TheEdgeOfLargerMagnitudeIsExact) {
  for (const int bits : {4, 8}) {
    for (const float edge : {-2.0f, 2.0f}) {
      std::vector<float> w(64);
      for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(0.01 * Uniform(i));
      w[17] = edge;
      const AffineMatrix m = QuantizeAffine(w, 1, 64, bits, 64);
      EXPECT_EQ(AffineValue(m.view(), 0, 17), edge);
      EXPECT_EQ(AffineCode(m.view(), 0, 17), 0u);
      EXPECT_EQ(tensor::LoadFloat(tensor::DType::kBF16, m.biases.data()), edge);
      // The scale leads from the edge through zero.
      EXPECT_LT(tensor::LoadFloat(tensor::DType::kBF16, m.scales.data()) * edge, 0);
    }
  }
}

TEST(QuantizeAffine, DegenerateGroups) {
  for (const int bits : {4, 8}) {
    std::vector<float> w(64, 0.0f);
    const AffineMatrix zeros = QuantizeAffine(w, 1, 64, bits, 64);
    for (size_t c = 0; c < 64; ++c) EXPECT_EQ(AffineValue(zeros.view(), 0, c), 0.0f);
    std::fill(w.begin(), w.end(), 0.75f);
    const AffineMatrix equal = QuantizeAffine(w, 1, 64, bits, 64);
    for (size_t c = 0; c < 64; ++c) EXPECT_NEAR(AffineValue(equal.view(), 0, c), 0.75f, 1e-6);
    std::fill(w.begin(), w.end(), 1e-30f);
    const AffineMatrix tiny = QuantizeAffine(w, 1, 64, bits, 64);
    for (size_t c = 0; c < 64; ++c) EXPECT_NEAR(AffineValue(tiny.view(), 0, c), 0.0f, 1e-6);
  }
}

// Codes lie low nibble first, least significant byte first.
TEST(QuantizeAffine, PacksAsAffineViewReads) {
  std::vector<float> w(64);
  for (size_t i = 0; i < w.size(); ++i) w[i] = -static_cast<float>(i % 16);  // edge -15, scale 1
  const AffineMatrix m = QuantizeAffine(w, 1, 64, 4, 64);
  EXPECT_EQ(tensor::LoadFloat(tensor::DType::kBF16, m.scales.data()), 1.0f);
  for (size_t c = 0; c < 64; ++c) {
    EXPECT_EQ(AffineCode(m.view(), 0, c), 15 - c % 16);
    EXPECT_EQ(AffineValue(m.view(), 0, c), w[c]);
  }
  EXPECT_EQ(std::to_integer<int>(m.packed[0]), 0xEF);
}

}  // namespace
}  // namespace mach::quant
