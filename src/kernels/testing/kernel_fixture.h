// For the tests of this module: seeded inputs, packed matrices, and comparison bit for bit.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "base/aligned_memory.h"
#include "base/random.h"
#include "kernels/table.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::kernels {

inline std::vector<float> RandomFloats(size_t n, uint64_t seed, float low = -1, float high = 1) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = low + (high - low) * static_cast<float>(UniformAt(seed, i));
  }
  return x;
}

inline void StoreAs(tensor::DType type, float value, std::byte* p) {
  const uint16_t half =
      type == tensor::DType::kF16 ? tensor::F32ToF16(value) : tensor::F32ToBF16(value);
  if (type == tensor::DType::kF32) {
    std::memcpy(p, &value, 4);
  } else {
    std::memcpy(p, &half, 2);
  }
}

inline std::vector<std::byte> RandomTyped(tensor::DType type, size_t n, uint64_t seed) {
  const std::vector<float> values = RandomFloats(n, seed);
  const size_t size = tensor::DTypeBytes(type);
  std::vector<std::byte> bytes(n * size);
  for (size_t i = 0; i < n; ++i) StoreAs(type, values[i], bytes.data() + i * size);
  return bytes;
}

// Owns a packed matrix of random weights.
class TestMatrix {
 public:
  explicit TestMatrix(const quant::TiledLayout& layout, uint64_t seed = 1)
      : buffer_(*AlignedBuffer::Allocate(layout.bytes())) {
    matrix_ = {layout, buffer_.data()};
    if (!layout.affine()) {
      quant::PackDense(layout, RandomTyped(layout.type, layout.rows * layout.cols, seed).data(),
                       buffer_.data());
      return;
    }
    std::vector<std::byte> codes(layout.rows * layout.cols * static_cast<size_t>(layout.bits) / 8);
    for (size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<std::byte>(UniformAt(seed, i) * 256);
    }
    const size_t groups = layout.rows * layout.groups();
    const std::vector<std::byte> scales = RandomTyped(layout.type, groups, seed + 1);
    const std::vector<std::byte> biases = RandomTyped(layout.type, groups, seed + 2);
    quant::PackAffine({layout.rows, layout.cols, layout.bits, layout.group, layout.type,
                       codes.data(), scales.data(), biases.data()},
                      buffer_.data());
  }

  const quant::TiledMatrix& get() const { return matrix_; }
  size_t tiles() const { return matrix_.layout.tiles(); }

 private:
  AlignedBuffer buffer_;
  quant::TiledMatrix matrix_;
};

// Rows of activations, quantized by the scalar kernel, with strides above the least.
struct TestActivations {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<float> sum;
  size_t q_stride;
  size_t group_stride;

  TestActivations(std::span<const float> x, size_t rows, size_t cols, size_t group)
      : q(rows * (cols + 4)),
        scale(rows * (cols / group + 1)),
        sum(scale.size()),
        q_stride(cols + 4),
        group_stride(cols / group + 1) {
    const KernelTable& scalar = **SelectKernels(Isa::kScalar);
    for (size_t r = 0; r < rows; ++r) {
      scalar.quantize_row(x.data() + r * cols, cols, group, q.data() + r * q_stride,
                          scale.data() + r * group_stride, sum.data() + r * group_stride);
    }
  }
  QuantizedRows Rows(size_t first = 0) const {
    return {q.data() + first * q_stride, scale.data() + first * group_stride,
            sum.data() + first * group_stride, q_stride, group_stride};
  }
};

inline void ExpectSameBits(std::span<const float> expected, std::span<const float> got,
                           const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(expected[i]), std::bit_cast<uint32_t>(got[i]))
        << what << ", element " << i << ": " << expected[i] << " and " << got[i];
  }
}

inline const KernelTable& Scalar() { return **SelectKernels(Isa::kScalar); }

// Every table of this machine but the scalar one, with its name.
template <class F>
void ForVectorTables(F fn) {
  for (const Isa isa : AvailableIsas()) {
    if (isa != Isa::kScalar) fn(**SelectKernels(isa), std::string(IsaName(isa)));
  }
}

}  // namespace mach::kernels
