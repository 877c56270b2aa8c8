// Tests of the router and of dense layers. moe_test.cc has those of mixtures of experts.
#include "ops/ffn.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "ops/testing/test_context.h"
#include "ops/testing/test_swiglu.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

constexpr size_t kRouterHidden = 64;

// For each row and choice: the weight, then the index of the expert.
std::vector<float> RouteEverywhere(const MoeShape& shape, const quant::TiledMatrix& router,
                                   const std::vector<float>& x) {
  const size_t rows = x.size() / kRouterHidden;
  return RunEverywhere(
      Compute::kInt8,
      [&](size_t) {
        return Arena::Footprint<float>(rows * shape.experts) +
               Activations::ScratchBytes(rows, kRouterHidden);
      },
      [&](Context& ctx) {
        Activations activations(x.data(), rows, kRouterHidden);
        std::vector<ExpertId> ids(rows * shape.top_k);
        std::vector<float> weights(rows * shape.top_k);
        Route(ctx, shape, router, activations, {ids.data(), weights.data()});
        std::vector<float> all;
        for (size_t i = 0; i < ids.size(); ++i) {
          all.push_back(weights[i]);
          all.push_back(static_cast<float>(Index(ids[i])));
        }
        return all;
      });
}

// p = softmax(router x), from float32 products.
Row Probabilities(const TestMatrix& router, const std::vector<float>& x, size_t row) {
  const Row scores = MatVec(router, Exact(x, row * kRouterHidden, kRouterHidden));
  double most = -1e30;
  for (const Bounded& score : scores) most = std::max(most, score.value);
  Row p;
  DotProduct sum;
  for (const Bounded& score : scores) {
    p.push_back(Exp(score - Bounded(most)));
    sum.Add(p.back());
  }
  for (Bounded& value : p) value = value / sum.Sum();
  return p;
}

TEST(Route, ChoosesTheMostProbable) {
  constexpr size_t kRows = 40;
  const TestMatrix router(24, kRouterHidden, kQ4, 1);
  const std::vector<float> x = RandomFloats(kRows * kRouterHidden, 2, -2, 2);
  for (const size_t top_k : {1, 4, 24}) {
    for (const bool normalize : {false, true}) {
      const MoeShape shape{
          .hidden = kRouterHidden, .experts = 24, .top_k = top_k, .normalize = normalize};
      const auto got = RouteEverywhere(shape, router.tiled(), x);
      Row expected;
      std::vector<float> weights;
      for (size_t r = 0; r < kRows; ++r) {
        const Row p = Probabilities(router, x, r);
        std::vector<size_t> order(p.size());
        std::iota(order.begin(), order.end(), size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](size_t a, size_t b) { return p[a].value > p[b].value; });
        DotProduct chosen;
        for (size_t k = 0; k < top_k; ++k) chosen.Add(p[order[k]]);
        for (size_t k = 0; k < top_k; ++k) {
          const size_t i = 2 * (r * top_k + k);
          ASSERT_EQ(got[i + 1], static_cast<float>(order[k])) << "row " << r << ", choice " << k;
          expected.push_back(normalize ? p[order[k]] / chosen.Sum() : p[order[k]]);
          weights.push_back(got[i]);
        }
      }
      ExpectWithinBounds(expected, weights, "top " + std::to_string(top_k), 0.002);
    }
  }
}

// Experts with equal rows have equal probabilities, bit for bit.
TEST(Route, TiesGoToTheLowerIndex) {
  constexpr size_t kAlike = 9;
  // Experts 1, 4 and 7 are the most probable, then 0, 3 and 6.
  std::vector<float> rows(kAlike * kRouterHidden);
  for (size_t e = 0; e < kAlike; ++e) {
    constexpr float kWeight[] = {0.5f, 1, 0.25f};
    rows[e * kRouterHidden] = kWeight[e % 3];
  }
  const quant::TiledLayout layout{kAlike, kRouterHidden, tensor::DType::kF32, 0, 0};
  auto packed = *AlignedBuffer::Allocate(layout.bytes());
  quant::PackDense(layout, std::as_bytes(std::span(rows)).data(), packed.data());
  std::vector<float> x(kRouterHidden);
  x[0] = 1;
  const MoeShape shape{.hidden = kRouterHidden, .experts = kAlike, .top_k = 5};
  const auto got = RouteEverywhere(shape, {layout, packed.data()}, x);
  const float expected[] = {1, 4, 7, 0, 3};
  for (size_t k = 0; k < 5; ++k) EXPECT_EQ(got[2 * k + 1], expected[k]) << k;
  EXPECT_EQ(got[0], got[2]);
  EXPECT_EQ(got[6], got[8]);

  // All are equally probable.
  const auto even =
      RouteEverywhere(shape, {layout, packed.data()}, std::vector<float>(kRouterHidden));
  for (size_t k = 0; k < 5; ++k) {
    EXPECT_EQ(even[2 * k + 1], static_cast<float>(k));
    EXPECT_NEAR(even[2 * k], 0.2, 4 * kUnit);
  }
}

constexpr size_t kDenseHidden = 64;
constexpr size_t kDenseWidth = 128;

std::vector<float> DenseEverywhere(Compute compute, const TestSwiGlu& w,
                                   const std::vector<float>& x) {
  const size_t rows = x.size() / kDenseHidden;
  return RunEverywhere(
      compute, [&](size_t) { return DenseFfnScratchBytes(kDenseHidden, kDenseWidth, rows); },
      [&](Context& ctx) {
        Activations activations(x.data(), rows, kDenseHidden);
        std::vector<float> out(x.size());
        DenseFfn(ctx, w.weights(), activations, out.data());
        return out;
      });
}

const SwiGluFormats kDenseFormats[] = {
    {kF32, kF32, kF32},
    {kQ4, kQ4, kQ4},
    {kQ4, {tensor::DType::kF16, 8, 32}, kBF16},  // operands of three kinds
    {kBF16, kBF16, {tensor::DType::kF32, 8, 128}},
};

TEST(DenseFfn, IsTheFormulaInEveryFormat) {
  for (const SwiGluFormats& formats : kDenseFormats) {
    const TestSwiGlu w(kDenseHidden, kDenseWidth, formats, 3);
    for (const Compute compute : {Compute::kF32, Compute::kInt8}) {
      for (const size_t rows : {1, 6}) {
        const std::vector<float> x = RandomFloats(rows * kDenseHidden, 4, -2, 2);
        Row expected;
        for (size_t r = 0; r < rows; ++r) {
          const Row y = SwiGluOf(w, x.data() + r * kDenseHidden, compute);
          expected.insert(expected.end(), y.begin(), y.end());
        }
        ExpectWithinBounds(expected, DenseEverywhere(compute, w, x), Name(formats.down), 0.02);
      }
    }
  }
}

TEST(DenseFfn, NeitherThreadsNorOtherRowsChangeABit) {
  constexpr size_t kRows = 40;
  const TestSwiGlu w(kDenseHidden, kDenseWidth, kDenseFormats[1], 5);
  const std::vector<float> x = RandomFloats(kRows * kDenseHidden, 6, -2, 2);
  for (const Compute compute : {Compute::kF32, Compute::kInt8}) {
    const std::vector<float> together = DenseEverywhere(compute, w, x);
    for (size_t r = 0; r < kRows; r += 7) {
      const auto at = x.begin() + static_cast<std::ptrdiff_t>(r * kDenseHidden);
      const auto row = together.begin() + static_cast<std::ptrdiff_t>(r * kDenseHidden);
      ExpectSameBits({row, row + kDenseHidden},
                     DenseEverywhere(compute, w, {at, at + kDenseHidden}),
                     "row " + std::to_string(r));
    }
  }
}

}  // namespace
}  // namespace mach::ops
