#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/dtype.h"

namespace mach::quant {
namespace {

void StoreBF16(float value, std::byte* to) {
  const uint16_t half = tensor::F32ToBF16(value);
  std::memcpy(to, &half, sizeof(half));
}

}  // namespace

AffineView AffineMatrix::view() const {
  return {.rows = rows,
          .cols = cols,
          .bits = bits,
          .group = group,
          .scale_type = tensor::DType::kBF16,
          .packed = packed.data(),
          .scales = scales.data(),
          .biases = biases.data()};
}

AffineMatrix QuantizeAffine(std::span<const float> weights, size_t rows, size_t cols, int bits,
                            int group) {
  const auto width = static_cast<size_t>(group);
  MACH_CHECK((bits == 4 || bits == 8) && cols % width == 0 && weights.size() == rows * cols);
  AffineMatrix m{.rows = rows, .cols = cols, .bits = bits, .group = group};
  const size_t groups = rows * (cols / width);
  m.packed.assign(rows * cols * static_cast<size_t>(bits) / 8, std::byte{0});
  m.scales.resize(groups * 2);
  m.biases.resize(groups * 2);
  const auto most_code = static_cast<float>((1 << bits) - 1);
  constexpr float kLeastScale = 1e-7f;
  for (size_t g = 0; g < groups; ++g) {
    const std::span<const float> w = weights.subspan(g * width, width);
    const auto [low, high] = std::minmax_element(w.begin(), w.end());
    const bool low_edge = std::abs(*low) > std::abs(*high);
    float scale = std::max((*high - *low) / most_code, kLeastScale);
    if (!low_edge) scale = -scale;
    const float edge = low_edge ? *low : *high;
    const float zero_code = std::nearbyint(edge / scale);
    float bias = 0;
    if (zero_code != 0) {
      scale = edge / zero_code;
      bias = edge;
    }
    StoreBF16(scale, m.scales.data() + 2 * g);
    StoreBF16(bias, m.biases.data() + 2 * g);
    for (size_t i = 0; i < width; ++i) {
      const float code = std::clamp(std::nearbyint((w[i] - bias) / scale), 0.0f, most_code);
      const auto byte = static_cast<std::byte>(static_cast<uint8_t>(code));
      const size_t at = g * width + i;
      if (bits == 8) {
        m.packed[at] = byte;
      } else {
        m.packed[at / 2] |= at % 2 == 0 ? byte : byte << 4;
      }
    }
  }
  return m;
}

}  // namespace mach::quant
