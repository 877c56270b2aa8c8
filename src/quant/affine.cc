#include "quant/affine.h"

#include <cmath>

namespace mach::quant {
namespace {

float ScaleAt(const AffineView& m, const std::byte* base, size_t row, size_t col) {
  const size_t group = static_cast<size_t>(m.group);
  const size_t at = row * (m.cols / group) + col / group;
  return tensor::LoadFloat(m.scale_type, base + at * tensor::DTypeBytes(m.scale_type));
}

}  // namespace

uint32_t AffineCode(const AffineView& m, size_t row, size_t col) {
  // Little-endian words of 4- or 8-bit fields: the same bytes, low nibble first.
  if (m.bits == 8) return std::to_integer<uint32_t>(m.packed[row * m.cols + col]);
  const auto byte = std::to_integer<uint32_t>(m.packed[row * (m.cols / 2) + col / 2]);
  return col % 2 == 0 ? byte & 15 : byte >> 4;
}

float AffineValue(const AffineView& m, size_t row, size_t col) {
  return std::fma(static_cast<float>(AffineCode(m, row, col)), ScaleAt(m, m.scales, row, col),
                  ScaleAt(m, m.biases, row, col));
}

void AffineRow(const AffineView& m, size_t row, std::span<float> out) {
  for (size_t c = 0; c < m.cols; ++c) out[c] = AffineValue(m, row, c);
}

}  // namespace mach::quant
