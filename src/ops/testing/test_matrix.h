// Seeded inputs for tests of ops: rows of floats, and weight matrices of every format.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/random.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::ops {

inline std::vector<float> RandomFloats(size_t n, uint64_t seed, float low = -1, float high = 1) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = low + (high - low) * static_cast<float>(UniformAt(seed, i));
  }
  return x;
}

// bits == 0: dense, of `type`. Else affine, with scales of `type`.
struct Format {
  tensor::DType type = tensor::DType::kF32;
  int bits = 0;
  int group = 0;
};

inline constexpr Format kF32{tensor::DType::kF32};
inline constexpr Format kBF16{tensor::DType::kBF16};
inline constexpr Format kQ4{tensor::DType::kBF16, 4, 64};

inline std::string Name(const Format& f) {
  std::string name(tensor::DTypeName(f.type));
  if (f.bits != 0)
    name += ", " + std::to_string(f.bits) + " bits, group " + std::to_string(f.group);
  return name;
}

// A matrix [rows, cols] packed for the kernels, and the weights that it was packed from. Weights
// have a magnitude of about 1 / sqrt(cols), so that products have that of the activations. Scales,
// biases and dense elements have at most eight significant bits, so that no format rounds them, and
// affine weights are exact in float32.
class TestMatrix {
 public:
  TestMatrix(size_t rows, size_t cols, const Format& format, uint64_t seed)
      : layout_{rows, cols, format.type, format.bits, format.group},
        buffer_(*AlignedBuffer::Allocate(layout_.bytes())),
        unit_(std::exp2(-std::round(std::log2(std::sqrt(static_cast<double>(cols)))))),
        seed_(seed) {
    if (layout_.affine()) {
      PackAffine();
    } else {
      for (size_t i = 0; i < rows * cols; ++i) dense_.push_back(Draw(0, i, 255, -127) / 64 * unit_);
      quant::PackDense(layout_, Stored(dense_).data(), buffer_.data());
    }
  }

  quant::TiledMatrix tiled() const { return {layout_, buffer_.data()}; }
  const quant::TiledLayout& layout() const { return layout_; }
  std::span<const std::byte> bytes() const { return buffer_.bytes(); }

  double at(size_t row, size_t col) const {
    if (!layout_.affine()) return dense_[row * layout_.cols + col];
    const size_t group = col / group_size();
    return scale(row, group) * code(row, col) + bias(row, group);
  }
  // For affine matrices.
  size_t group_size() const { return static_cast<size_t>(layout_.group); }
  int code(size_t row, size_t col) const { return codes_[row * layout_.cols + col]; }
  double scale(size_t row, size_t group) const { return scales_[row * layout_.groups() + group]; }
  double bias(size_t row, size_t group) const { return biases_[row * layout_.groups() + group]; }

 private:
  // An integer in [low, low + count).
  double Draw(uint32_t what, size_t i, int count, int low) const {
    return std::floor(UniformAt(seed_, i, what) * count) + low;
  }

  void PackAffine() {
    const int codes = layout_.bits == 4 ? 16 : 256;
    for (size_t i = 0; i < layout_.rows * layout_.cols; ++i) {
      codes_.push_back(static_cast<int>(Draw(0, i, codes, 0)));
    }
    // The bias is about minus the scale times the middle code, so that weights have both signs.
    const double step = unit_ * 4 / codes;
    for (size_t i = 0; i < layout_.rows * layout_.groups(); ++i) {
      const double sign = Draw(1, i, 2, 0) * 2 - 1;
      scales_.push_back(sign * Draw(2, i, 64, 64) / 64 * step);
      biases_.push_back(-sign * Draw(3, i, 64, 64) / 64 * unit_ * 2);
    }
    // Least significant bits first (quant/affine.h).
    std::vector<std::byte> packed(codes_.size() * static_cast<size_t>(layout_.bits) / 8);
    for (size_t i = 0; i < codes_.size(); ++i) {
      const auto code = static_cast<std::byte>(codes_[i]);
      if (layout_.bits == 8) {
        packed[i] = code;
      } else {
        packed[i / 2] |= code << (i % 2 * 4);
      }
    }
    quant::PackAffine({layout_.rows, layout_.cols, layout_.bits, layout_.group, layout_.type,
                       packed.data(), Stored(scales_).data(), Stored(biases_).data()},
                      buffer_.data());
  }

  // The values as elements of the layout's type.
  std::vector<std::byte> Stored(const std::vector<double>& values) const {
    const size_t size = tensor::DTypeBytes(layout_.type);
    std::vector<std::byte> bytes(values.size() * size);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<float>(values[i]);
      const uint16_t half =
          layout_.type == tensor::DType::kF16 ? tensor::F32ToF16(value) : tensor::F32ToBF16(value);
      if (layout_.type == tensor::DType::kF32) {
        std::memcpy(bytes.data() + i * size, &value, size);
      } else {
        std::memcpy(bytes.data() + i * size, &half, size);
      }
    }
    return bytes;
  }

  quant::TiledLayout layout_;
  AlignedBuffer buffer_;
  double unit_;  // a power of two
  uint64_t seed_;
  std::vector<double> dense_;
  std::vector<int> codes_;
  std::vector<double> scales_;
  std::vector<double> biases_;
};

}  // namespace mach::ops
