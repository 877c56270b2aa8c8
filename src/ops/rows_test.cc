#include "ops/rows.h"

#include <cmath>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "kernels/table.h"
#include "ops/testing/bounded.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_matrix.h"

namespace mach::ops {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// These ops take nothing from the arena.
std::vector<float> RowsEverywhere(const std::function<std::vector<float>(Context&)>& run) {
  return RunEverywhere(
      Compute::kF32, [](size_t) { return size_t{0}; }, run);
}

TEST(RmsNorm, DividesEachRowByItsRootMeanSquare) {
  constexpr float kEps = 1e-2f;  // large enough to be seen
  for (const auto& [rows, n] : {std::pair<size_t, size_t>{1, 7}, {3, 64}, {5, 100}, {300, 96}}) {
    const std::vector<float> x = RandomFloats(rows * n, 1, -3, 3);
    const std::vector<float> weight = RandomFloats(n, 2, 0.5f, 2);
    const auto got = RowsEverywhere([&, rows = rows, n = n](Context& ctx) {
      std::vector<float> out(rows * n);
      RmsNorm(ctx, x.data(), rows, n, weight.data(), kEps, out.data());
      std::vector<float> in_place = x;
      RmsNorm(ctx, in_place.data(), rows, n, weight.data(), kEps, in_place.data());
      ExpectSameBits(out, in_place, "in place");
      return out;
    });
    Row expected;
    for (size_t r = 0; r < rows; ++r) {
      DotProduct squares;
      for (size_t i = 0; i < n; ++i) squares.Add(double{x[r * n + i]}, double{x[r * n + i]});
      const Bounded mean = squares.Sum() / Bounded(static_cast<double>(n));
      const Bounded root = Sqrt(mean + Bounded(double{kEps}));
      for (size_t i = 0; i < n; ++i) {
        // The op multiplies by 1 / root, which is a rounding more than a division.
        expected.push_back(Bounded(double{x[r * n + i]}) * (Bounded(1) / root) *
                           Bounded(double{weight[i]}));
      }
    }
    ExpectWithinBounds(expected, got, std::to_string(rows) + " rows of " + std::to_string(n));
  }
}

TEST(Add, AddsEveryElement) {
  for (const auto& [rows, n] : {std::pair<size_t, size_t>{1, 5}, {4, 64}, {500, 70}}) {
    const std::vector<float> x = RandomFloats(rows * n, 3);
    const std::vector<float> y = RandomFloats(rows * n, 4);
    const auto got = RowsEverywhere([&, rows = rows, n = n](Context& ctx) {
      std::vector<float> sum = x;
      Add(ctx, sum.data(), y.data(), rows, n);
      return sum;
    });
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], x[i] + y[i]) << i;
  }
}

TEST(AllFinite, FindsOneValueAnywhere) {
  constexpr size_t kRows = 400;
  constexpr size_t kWidth = 96;
  for (size_t threads = 1; threads <= kMostTestThreads; ++threads) {
    TestContext context(kernels::Isa::kScalar, threads, 0, Compute::kF32);
    std::vector<float> x = RandomFloats(kRows * kWidth, 5);
    x[1] = std::numeric_limits<float>::max();
    x[2] = std::numeric_limits<float>::lowest();
    x[3] = std::numeric_limits<float>::denorm_min();
    EXPECT_TRUE(AllFinite(*context, x.data(), kRows, kWidth));
    for (const size_t at : {size_t{0}, kWidth - 1, kRows / 2 * kWidth + 17, kRows * kWidth - 1}) {
      for (const float bad : {kInf, -kInf, kNan, -kNan}) {
        const float good = std::exchange(x[at], bad);
        EXPECT_FALSE(AllFinite(*context, x.data(), kRows, kWidth)) << bad << " at " << at;
        x[at] = good;
      }
    }
    // A value after the last row is not looked at.
    x.push_back(kNan);
    EXPECT_TRUE(AllFinite(*context, x.data(), kRows, kWidth));
  }
}

TEST(RowGrain, IsAtLeastOneRowAndFallsWithTheWork) {
  EXPECT_EQ(RowGrain(1 << 20), 1u);
  EXPECT_EQ(RowGrain(256), 64u);
  EXPECT_EQ(RowGrain(256, 4), 16u);
}

}  // namespace
}  // namespace mach::ops
