#include <limits>

#include <gtest/gtest.h>

#include "kernels/testing/kernel_fixture.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::kernels {
namespace {

using quant::TiledLayout;
using tensor::DType;

constexpr float kEps = std::numeric_limits<float>::epsilon();

struct Case {
  TiledLayout layout;
  size_t rows;  // of activations
};

std::string Name(const Case& c) {
  const TiledLayout& l = c.layout;
  return "[" + std::to_string(l.rows) + ", " + std::to_string(l.cols) + "] " +
         std::string(DTypeName(l.type)) + " bits " + std::to_string(l.bits) + " group " +
         std::to_string(l.group) + ", " + std::to_string(c.rows) + " rows";
}

std::vector<Case> AffineCases() {
  std::vector<Case> cases;
  for (const int bits : {4, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
        // One tile, a partial tile, an odd number of tiles, and rows that use every micro-kernel.
        cases.push_back({{16, 128, type, bits, group}, 1});
        cases.push_back({{7, 128, type, bits, group}, 2});
        cases.push_back({{33, 384, type, bits, group}, 15});
        cases.push_back({{64, 256, type, bits, group}, 21});
      }
    }
  }
  return cases;
}

std::vector<Case> DenseCases() {
  std::vector<Case> cases;
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
    cases.push_back({{16, 64, type, 0, 0}, 1});
    cases.push_back({{5, 7, type, 0, 0}, 3});  // columns that four does not divide
    cases.push_back({{33, 130, type, 0, 0}, 6});
    cases.push_back({{48, 257, type, 0, 0}, 13});
  }
  return cases;
}

std::vector<float> RunI8(const KernelTable& table, const TestMatrix& w, const TestActivations& x,
                         size_t rows, size_t begin, size_t end, size_t first_row = 0) {
  const size_t stride = w.get().layout.rows + 3;
  std::vector<float> out(rows * stride, -7.0f);
  table.matmul_i8(w.get(), begin, end, x.Rows(first_row), rows, {out.data(), stride});
  return out;
}

std::vector<float> RunF32(const KernelTable& table, const TestMatrix& w, std::span<const float> x,
                          size_t rows, size_t begin, size_t end) {
  const size_t stride = w.get().layout.rows + 3;
  std::vector<float> out(rows * stride, -7.0f);
  table.matmul_f32(w.get(), begin, end, {x.data(), w.get().layout.cols}, rows,
                   {out.data(), stride});
  return out;
}

// Extremes of the codes and of the activations at once: what saturates, if anything does.
TEST(MatmulI8, LargestCodesAndActivationsAreExact) {
  for (const int bits : {4, 8}) {
    const TiledLayout layout{32, 128, DType::kF32, bits, 128};
    std::vector<std::byte> codes(layout.rows * layout.cols * static_cast<size_t>(bits) / 8,
                                 std::byte{255});
    const std::vector<float> ones(layout.rows, 1.0f);
    const std::vector<float> zeros(layout.rows, 0.0f);
    auto buffer = *AlignedBuffer::Allocate(layout.bytes());
    quant::PackAffine({layout.rows, layout.cols, bits, layout.group, layout.type, codes.data(),
                       reinterpret_cast<const std::byte*>(ones.data()),
                       reinterpret_cast<const std::byte*>(zeros.data())},
                      buffer.data());
    for (const int sign : {1, -1}) {
      const std::vector<int8_t> q(layout.cols, static_cast<int8_t>(127 * sign));
      const float scale = 1.0f;
      const float sum = 0.0f;
      const float expected = static_cast<float>((bits == 4 ? 15 : 255) * 127 * 128 * sign);
      for (const Isa isa : AvailableIsas()) {
        std::vector<float> out(layout.rows);
        (*SelectKernels(isa))
            ->matmul_i8({layout, buffer.data()}, 0, layout.tiles(), {q.data(), &scale, &sum, 0, 0},
                        1, {out.data(), 0});
        for (const float value : out) EXPECT_EQ(value, expected) << IsaName(isa);
      }
    }
  }
}

TEST(MatmulI8, EveryIsaEqualsTheScalarTable) {
  for (const Case& c : AffineCases()) {
    const TestMatrix w(c.layout);
    const auto group = static_cast<size_t>(c.layout.group);
    const TestActivations x(RandomFloats(c.rows * c.layout.cols, 9), c.rows, c.layout.cols, group);
    const auto expected = RunI8(Scalar(), w, x, c.rows, 0, w.tiles());
    ForVectorTables([&](const KernelTable& table, const std::string& isa) {
      ExpectSameBits(expected, RunI8(table, w, x, c.rows, 0, w.tiles()), isa + " " + Name(c));
    });
  }
}

// The row of UnpackRow times the dequantized activations, in double. Errors: one rounding of the
// scale product, two of the accumulation per group, and of sum[g]; each at most eps / 2 of the
// magnitudes that are summed.
TEST(MatmulI8, ScalarAgreesWithAFloat64Oracle) {
  for (const Case& c : AffineCases()) {
    const TestMatrix w(c.layout);
    const TiledLayout& l = c.layout;
    const auto group = static_cast<size_t>(l.group);
    const TestActivations x(RandomFloats(c.rows * l.cols, 9), c.rows, l.cols, group);
    const auto got = RunI8(Scalar(), w, x, c.rows, 0, w.tiles());
    std::vector<float> row(l.cols);
    for (size_t n = 0; n < l.rows; ++n) {
      quant::UnpackRow(w.get(), n, row);
      for (size_t r = 0; r < c.rows; ++r) {
        double exact = 0;
        double magnitude = 0;
        for (size_t k = 0; k < l.cols; ++k) {
          const double xk =
              double{x.scale[r * x.group_stride + k / group]} * x.q[r * x.q_stride + k];
          exact += xk * row[k];
          // The two addends of a weight are summed apart here.
          magnitude += std::abs(xk) * ((l.bits == 4 ? 15 : 255) + 1);
        }
        const double steps = static_cast<double>(2 * l.groups() + 3);
        ASSERT_NEAR(got[r * (l.rows + 3) + n], exact, steps * kEps / 2 * magnitude) << Name(c);
      }
    }
  }
}

TEST(MatmulF32, EveryIsaEqualsTheScalarTable) {
  std::vector<Case> cases = DenseCases();
  for (const Case& c : AffineCases()) cases.push_back(c);
  for (const Case& c : cases) {
    const TestMatrix w(c.layout);
    const auto x = RandomFloats(c.rows * c.layout.cols, 9);
    const auto expected = RunF32(Scalar(), w, x, c.rows, 0, w.tiles());
    ForVectorTables([&](const KernelTable& table, const std::string& isa) {
      ExpectSameBits(expected, RunF32(table, w, x, c.rows, 0, w.tiles()), isa + " " + Name(c));
    });
  }
}

// cols / 4 + 3 roundings, each at most eps / 2 of the sum of magnitudes.
TEST(MatmulF32, ScalarAgreesWithAFloat64Oracle) {
  std::vector<Case> cases = DenseCases();
  cases.push_back({{33, 256, DType::kBF16, 4, 64}, 2});
  cases.push_back({{33, 256, DType::kF16, 8, 32}, 2});
  for (const Case& c : cases) {
    const TestMatrix w(c.layout);
    const TiledLayout& l = c.layout;
    const auto x = RandomFloats(c.rows * l.cols, 9);
    const auto got = RunF32(Scalar(), w, x, c.rows, 0, w.tiles());
    std::vector<float> row(l.cols);
    for (size_t n = 0; n < l.rows; ++n) {
      quant::UnpackRow(w.get(), n, row);
      for (size_t r = 0; r < c.rows; ++r) {
        double exact = 0;
        double magnitude = 0;
        for (size_t k = 0; k < l.cols; ++k) {
          const double product = double{x[r * l.cols + k]} * row[k];
          exact += product;
          magnitude += std::abs(product);
        }
        const double steps = static_cast<double>(l.cols) / 4 + 3;
        ASSERT_NEAR(got[r * (l.rows + 3) + n], exact, steps * kEps / 2 * magnitude) << Name(c);
      }
    }
  }
}

// One row at a time, and one tile at a time, give what all together give (DESIGN promise 1).
TEST(Matmul, NeitherRowsNorTileRangesChangeABit) {
  constexpr size_t kMostRows = 40;
  for (const int bits : {4, 8}) {
    const TiledLayout l{100, 256, DType::kBF16, bits, 64};
    const TestMatrix w(l);
    const auto floats = RandomFloats(kMostRows * l.cols, 3);
    const TestActivations x(floats, kMostRows, l.cols, 64);
    for (const Isa isa : AvailableIsas()) {
      const KernelTable& table = **SelectKernels(isa);
      const size_t stride = l.rows + 3;
      std::vector<float> single;
      std::vector<float> single_f32;
      for (size_t r = 0; r < kMostRows; ++r) {
        const auto one = RunI8(table, w, x, 1, 0, w.tiles(), r);
        single.insert(single.end(), one.begin(), one.end());
        const auto f32 = RunF32(table, w, std::span(floats).subspan(r * l.cols), 1, 0, w.tiles());
        single_f32.insert(single_f32.end(), f32.begin(), f32.end());
      }
      for (size_t rows = 1; rows <= kMostRows; ++rows) {
        const std::string what = std::string(IsaName(isa)) + ", rows " + std::to_string(rows);
        ExpectSameBits(std::span(single).first(rows * stride),
                       RunI8(table, w, x, rows, 0, w.tiles()), what);
        // The scalar table has no blocks of rows, and is slow.
        if (isa == Isa::kScalar && rows > 2) continue;
        ExpectSameBits(std::span(single_f32).first(rows * stride),
                       RunF32(table, w, floats, rows, 0, w.tiles()), what + " f32");
      }
      for (size_t split = 0; split <= w.tiles(); ++split) {
        std::vector<float> out(5 * stride, -7.0f);
        std::vector<float> out_f32 = out;
        for (const auto& [begin, end] : {std::pair(size_t{0}, split), {split, w.tiles()}}) {
          table.matmul_i8(w.get(), begin, end, x.Rows(), 5, {out.data(), stride});
          table.matmul_f32(w.get(), begin, end, {floats.data(), l.cols}, 5,
                           {out_f32.data(), stride});
        }
        const std::string what = std::string(IsaName(isa)) + ", split " + std::to_string(split);
        ExpectSameBits(std::span(single).first(5 * stride), out, what);
        ExpectSameBits(std::span(single_f32).first(5 * stride), out_f32, what + " f32");
      }
    }
  }
}

}  // namespace
}  // namespace mach::kernels
