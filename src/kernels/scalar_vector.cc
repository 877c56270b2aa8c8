#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/math.h"
#include "kernels/scalar.h"

namespace mach::kernels {
namespace {

void QuantizeRow(const float* x, size_t cols, size_t group, int8_t* q, float* scale, float* sum) {
  for (size_t g = 0; g < cols / group; ++g, x += group, q += group) {
    // Magnitudes compare as their bits do, where NaN is above infinity: none is lost.
    uint32_t most_bits = 0;
    for (size_t i = 0; i < group; ++i) {
      most_bits = std::max(most_bits, std::bit_cast<uint32_t>(std::abs(x[i])));
    }
    const auto most = std::bit_cast<float>(most_bits);
    if (!(most >= kQuantizeLeast && most <= kQuantizeMost)) {
      std::fill_n(q, group, int8_t{0});
      scale[g] = sum[g] = ScaleWithoutCodes(most);
      continue;
    }
    const float inverse = 127.0f / most;
    int32_t total = 0;
    for (size_t i = 0; i < group; ++i) {
      q[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(x[i] * inverse + kRoundMagic));
      total += q[i];
    }
    scale[g] = most / 127.0f;
    sum[g] = scale[g] * static_cast<float>(total);
  }
}

float SumOfSquares(const float* x, size_t n) {
  float sums[kLanes] = {};
  for (size_t i = 0; i < n; ++i) sums[i % kLanes] = std::fma(x[i], x[i], sums[i % kLanes]);
  return FoldSums(sums);
}

float InverseRms(const float* x, float eps, size_t n) {
  return InverseRoot(SumOfSquares(x, n) / static_cast<float>(n), eps);
}

void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* out) {
  const float inverse = InverseRms(x, eps, n);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i];
}

void RmsNormGated(const float* x, const float* weight, const float* z, float eps, size_t n,
                  float* out) {
  const float inverse = InverseRms(x, eps, n);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i] * Silu(z[i]);
}

void L2Norm(const float* x, float eps, float scale, size_t n, float* out) {
  const float inverse = InverseRoot(SumOfSquares(x, n), eps);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * inverse * scale;
}

void SiluMul(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = Silu(gate[i]) * up[i];
}

void SigmoidMulInPlace(float* x, const float* gate, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = SigmoidMul(x[i], gate[i]);
}

void Add(float* x, const float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] += y[i];
}

void Axpy(float* x, float a, const float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = std::fma(a, y[i], x[i]);
}

void Rope(float* head, const float* cos, const float* sin, size_t rotary) {
  const size_t half = rotary / 2;
  for (size_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[i + half];
    head[i] = std::fma(a, cos[i], -(b * sin[i]));
    head[i + half] = std::fma(b, cos[i], a * sin[i]);
  }
}

void Softmax(float* x, size_t n) {
  const float most = *std::max_element(x, x + n);
  float sums[kLanes] = {};
  for (size_t i = 0; i < n; ++i) {
    x[i] = Exp(x[i] - most);
    sums[i % kLanes] += x[i];
  }
  const float sum = FoldSums(sums);
  for (size_t i = 0; i < n; ++i) x[i] /= sum;
}

void ConvSilu(const float* const* rows, const float* weight, size_t taps, size_t channels,
              float* out) {
  for (size_t c = 0; c < channels; ++c) {
    float acc = 0;
    for (size_t j = 0; j < taps; ++j) acc = std::fma(weight[j * channels + c], rows[j][c], acc);
    out[c] = Silu(acc);
  }
}

}  // namespace

const VectorKernels kScalarVector = {.quantize_row = QuantizeRow,
                                     .rms_norm = RmsNorm,
                                     .rms_norm_gated = RmsNormGated,
                                     .l2_norm = L2Norm,
                                     .silu_mul = SiluMul,
                                     .sigmoid_mul = SigmoidMulInPlace,
                                     .add = Add,
                                     .axpy = Axpy,
                                     .rope = Rope,
                                     .softmax = Softmax,
                                     .conv_silu = ConvSilu};

}  // namespace mach::kernels
