// MLX affine quantization: w[r, c] = scales[r, c / group] * q[r, c] + biases[r, c / group], q
// unsigned.
//
// As mlx-lm writes it (mlx/ops.cpp): q packed along the columns into 32-bit words, least
// significant bits first, so that word k of a row holds the elements k * (32 / bits) + j at bits
// [j*bits, (j+1)*bits). scales and biases are f16, bf16 or f32; scales may be negative.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace mach::quant {

// A view of one matrix [rows, cols]; owns nothing. bits is 4 or 8, group 32, 64 or 128, and divides
// cols. packed: [rows, cols * bits / 32] words; scales, biases: [rows, cols / group] of scale_type.
struct AffineView {
  size_t rows = 0;
  size_t cols = 0;
  int bits = 4;
  int group = 64;
  tensor::DType scale_type = tensor::DType::kBF16;
  const std::byte* packed = nullptr;
  const std::byte* scales = nullptr;
  const std::byte* biases = nullptr;
};

uint32_t AffineCode(const AffineView& m, size_t row, size_t col);
// q * scale + bias with one rounding (fused multiply-add), the value that every kernel uses.
float AffineValue(const AffineView& m, size_t row, size_t col);
void AffineRow(const AffineView& m, size_t row, std::span<float> out);

}  // namespace mach::quant
