// Float weights to MLX affine quantization, as mlx-lm makes it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "quant/affine.h"

namespace mach::quant {

// One quantized matrix in the layout of AffineView, in memory of its own. Scales and biases are
// bf16.
struct AffineMatrix {
  size_t rows = 0;
  size_t cols = 0;
  int bits = 0;
  int group = 0;
  std::vector<std::byte> packed;
  std::vector<std::byte> scales;
  std::vector<std::byte> biases;

  AffineView view() const;
};

// weights: [rows, cols] row-major, finite. The end of each group with the larger magnitude is a
// code exactly, and zero is one (mlx/backend/cpu/quantized.cpp). Values are within half a step of
// their weights before scales and biases are rounded; at the other end of the group, which moving
// zero onto a code may leave uncovered, within a whole step. REQUIRES: bits 4 or 8, group 32,
// 64 or 128 and a divisor of cols.
AffineMatrix QuantizeAffine(std::span<const float> weights, size_t rows, size_t cols, int bits,
                            int group);

}  // namespace mach::quant
