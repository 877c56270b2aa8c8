#include "ops/linear.h"

#include <gtest/gtest.h>

#include "ops/testing/reference.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_matrix.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

using tensor::DType;

std::vector<Format> AffineFormats() {
  std::vector<Format> formats;
  for (const int bits : {4, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
        formats.push_back({type, bits, group});
      }
    }
  }
  return formats;
}

std::vector<Format> AllFormats() {
  std::vector<Format> formats = AffineFormats();
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) formats.push_back({type});
  return formats;
}

// The last tile is padded, and every group size divides the columns.
constexpr size_t kOut = 37;
constexpr size_t kCols = 256;

std::vector<float> ProductOf(Context& ctx, const TestMatrix& w, const std::vector<float>& x,
                             size_t rows) {
  Activations activations(x.data(), rows, w.layout().cols);
  const quant::TiledMatrix tiled = w.tiled();
  std::vector<float> out(rows * tiled.layout.rows);
  Linear(ctx, activations, {{&tiled, {out.data(), tiled.layout.rows}}});
  return out;
}

std::vector<float> ProductEverywhere(Compute compute, const TestMatrix& w,
                                     const std::vector<float>& x, size_t rows) {
  return RunEverywhere(
      compute, [&](size_t) { return Activations::ScratchBytes(rows, w.layout().cols); },
      [&](Context& ctx) { return ProductOf(ctx, w, x, rows); });
}

Row LinearReference(Compute compute, const TestMatrix& w, const std::vector<float>& x,
                    size_t rows) {
  Row all;
  for (size_t r = 0; r < rows; ++r) {
    const Row y = compute == Compute::kInt8 ? MatVecInt8(w, x.data() + r * kCols)
                                            : MatVec(w, Exact(x, r * kCols, kCols));
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

TEST(Linear, FloatProductsOfEveryFormat) {
  for (const Format& format : AllFormats()) {
    const TestMatrix w(kOut, kCols, format, 1);
    for (const size_t rows : {1, 5}) {
      const std::vector<float> x = RandomFloats(rows * kCols, 2);
      ExpectWithinBounds(LinearReference(Compute::kF32, w, x, rows),
                         ProductEverywhere(Compute::kF32, w, x, rows), Name(format));
    }
  }
}

TEST(Linear, IntegerProductsOfEveryAffineFormat) {
  for (const Format& format : AffineFormats()) {
    const TestMatrix w(kOut, kCols, format, 3);
    for (const size_t rows : {1, 5}) {
      const std::vector<float> x = RandomFloats(rows * kCols, 4);
      ExpectWithinBounds(LinearReference(Compute::kInt8, w, x, rows),
                         ProductEverywhere(Compute::kInt8, w, x, rows), Name(format));
    }
  }
}

TEST(Linear, DenseWeightsNeverUseIntegers) {
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
    const TestMatrix w(kOut, kCols, {type}, 5);
    const std::vector<float> x = RandomFloats(3 * kCols, 6);
    ExpectSameBits(ProductEverywhere(Compute::kF32, w, x, 3),
                   ProductEverywhere(Compute::kInt8, w, x, 3), Name(Format{type}));
  }
}

// Large enough that the threads divide the work.
TEST(Linear, NeitherThreadsNorOtherRowsChangeABit) {
  constexpr size_t kRows = 40;
  for (const Compute compute : {Compute::kInt8, Compute::kF32}) {
    const TestMatrix w(133, kCols, kQ4, 7);
    const std::vector<float> x = RandomFloats(kRows * kCols, 8);
    const std::vector<float> together = ProductEverywhere(compute, w, x, kRows);
    TestContext context(kernels::AvailableIsas()[0], 3, Activations::ScratchBytes(1, kCols),
                        compute);
    std::vector<float> alone;
    for (size_t r = 0; r < kRows; ++r) {
      const ArenaScope scope((*context).arena);
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r * kCols);
      const auto row = ProductOf(*context, w, {begin, begin + kCols}, 1);
      alone.insert(alone.end(), row.begin(), row.end());
    }
    ExpectSameBits(alone, together, "row by row");
  }
}

// Matrices of several formats in one call, with strides of activations and outputs.
TEST(Linear, ProductsTogetherAreProductsAlone) {
  constexpr size_t kRows = 9;
  constexpr size_t kStride = kCols + 24;
  const TestMatrix matrices[] = {{64, kCols, kQ4, 9},
                                 {17, kCols, {DType::kF16, 8, 32}, 10},
                                 {5, kCols, kBF16, 11},
                                 {33, kCols, {DType::kF32, 8, 128}, 12}};
  const std::vector<float> wide = RandomFloats(kRows * kStride, 13);
  std::vector<float> x;
  for (size_t r = 0; r < kRows; ++r) {
    const auto begin = wide.begin() + static_cast<std::ptrdiff_t>(r * kStride);
    x.insert(x.end(), begin, begin + kCols);
  }
  constexpr size_t kOutStride = 70;
  constexpr float kUntouched = -7;
  const auto together = RunEverywhere(
      Compute::kInt8, [](size_t) { return Activations::ScratchBytes(kRows, kCols); },
      [&](Context& ctx) {
        std::vector<float> out(4 * kRows * kOutStride, kUntouched);
        Activations activations(wide.data(), kRows, kCols, kStride);
        quant::TiledMatrix w[4];
        kernels::OutputRows to[4];
        for (size_t i = 0; i < 4; ++i) {
          w[i] = matrices[i].tiled();
          to[i] = {out.data() + i * kRows * kOutStride, kOutStride};
        }
        Linear(ctx, activations, {{&w[0], to[0]}, {&w[1], to[1]}, {&w[2], to[2]}, {&w[3], to[3]}});
        return out;
      });
  for (size_t i = 0; i < 4; ++i) {
    const size_t n = matrices[i].layout().rows;
    const std::vector<float> alone = ProductEverywhere(Compute::kInt8, matrices[i], x, kRows);
    for (size_t r = 0; r < kRows; ++r) {
      const float* row = together.data() + (i * kRows + r) * kOutStride;
      for (size_t k = 0; k < kOutStride; ++k) {
        ASSERT_EQ(row[k], k < n ? alone[r * n + k] : kUntouched) << i << " " << r << " " << k;
      }
    }
  }
}

TEST(Linear, TheCallCanAskForFloats) {
  const TestMatrix w(kOut, kCols, kQ4, 14);
  const quant::TiledMatrix tiled = w.tiled();
  const std::vector<float> x = RandomFloats(2 * kCols, 15);
  const auto floats = RunEverywhere(
      Compute::kInt8, [](size_t) { return size_t{0}; },  // nothing is quantized
      [&](Context& ctx) {
        Activations activations(x.data(), 2, kCols);
        std::vector<float> out(2 * kOut);
        Linear(ctx, activations, {{&tiled, {out.data(), kOut}}}, Compute::kF32);
        return out;
      });
  ExpectSameBits(ProductEverywhere(Compute::kF32, w, x, 2), floats, "kF32");
}

TEST(Activations, AreQuantizedOnceForEachGroup) {
  const std::vector<float> x = RandomFloats(3 * kCols, 16);
  TestContext context(kernels::Isa::kScalar, 1, Activations::ScratchBytes(3, kCols),
                      Compute::kInt8);
  Activations activations(x.data(), 3, kCols);
  std::vector<const int8_t*> codes;
  for (const size_t group : {32, 64, 128}) {
    codes.push_back(activations.Quantized(*context, group).q);
    EXPECT_EQ(activations.Quantized(*context, group).group_stride, kCols / group);
  }
  size_t i = 0;
  for (const size_t group : {32, 64, 128}) {
    EXPECT_EQ(activations.Quantized(*context, group).q, codes[i++]) << group;
  }
}

}  // namespace
}  // namespace mach::ops
