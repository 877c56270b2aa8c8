#include <algorithm>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "experts/expert_store.h"
#include "experts/resident_store.h"
#include "kernels/math.h"
#include "ops/ffn.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_swiglu.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

constexpr size_t kMoeHidden = 64;
constexpr size_t kMoeWidth = 32;
constexpr size_t kMoeExperts = 8;
constexpr size_t kMoeTopK = 3;
constexpr size_t kSharedWidth = 96;
constexpr Format kQ8{tensor::DType::kF16, 8, 32};
constexpr Format kQ4Group32{tensor::DType::kBF16, 4, 32};

const SwiGluFormats kMoeFormats[] = {
    {kF32, kF32, kF32},
    {kQ4, kQ4, kQ4Group32},
    {kQ4, kQ8, kBF16},
    {kBF16, kQ8, kQ8},
};

// A layer with random weights.
struct MoeLayer {
  MoeShape shape;
  TestExperts experts;
  TestSwiGlu shared;
  TestMatrix shared_gate;

  explicit MoeLayer(const SwiGluFormats& formats, size_t shared_width = kSharedWidth)
      : shape{.hidden = kMoeHidden,
              .experts = kMoeExperts,
              .top_k = kMoeTopK,
              .width = kMoeWidth,
              .shared_width = shared_width},
        experts(kMoeExperts, kMoeHidden, kMoeWidth, formats),
        shared(kMoeHidden, std::max(shared_width, kMoeWidth), {kQ8, kQ8, kQ8}, 50),
        shared_gate(1, kMoeHidden, kQ8, 60) {}
  MoeWeights weights() const {
    return {{}, shared.weights(), shared_gate.tiled(), experts.layout()};
  }
};

// Distinct experts for each row, and weights that fall and sum to 1.
struct TestRouting {
  std::vector<ExpertId> ids;
  std::vector<float> weights;

  TestRouting(size_t rows, uint64_t seed) {
    for (size_t r = 0; r < rows; ++r) {
      std::vector<uint32_t> left = {0, 1, 2, 3, 4, 5, 6, 7};
      for (uint32_t k = 0; k < kMoeTopK; ++k) {
        const auto at =
            static_cast<std::ptrdiff_t>(UniformAt(seed, r, k) * static_cast<double>(left.size()));
        ids.push_back(ExpertId(left[static_cast<size_t>(at)]));
        left.erase(left.begin() + at);
        constexpr float kFalling[] = {0.53f, 0.28f, 0.19f};
        weights.push_back(kFalling[k]);
      }
    }
  }
  Routing get() { return {ids.data(), weights.data()}; }
};

Result<std::vector<float>> RunMoe(Context& ctx, const MoeLayer& layer, experts::ExpertStore& store,
                                  const std::vector<float>& x, TestRouting& routing) {
  const size_t rows = x.size() / kMoeHidden;
  MoeScratch scratch;
  ReserveMoe(layer.shape, rows, ctx, scratch);
  Activations activations(x.data(), rows, kMoeHidden);
  std::vector<float> out(x.size(), 9.0f);
  MACH_RETURN_IF_ERROR(
      AcquireExperts(layer.shape, TestExperts::kLayer, store, scratch, rows, routing.get()));
  MACH_RETURN_IF_ERROR(Moe(ctx, layer.shape, layer.weights(), store, scratch, activations,
                           routing.get(), out.data()));
  EXPECT_TRUE(scratch.acquisition.ready().empty());  // nothing stays pinned
  return out;
}

std::vector<float> MoeEverywhere(Compute compute, MoeLayer& layer, experts::ExpertStore& store,
                                 const std::vector<float>& x, TestRouting& routing) {
  return RunEverywhere(
      compute, [&](size_t) { return MoeScratchBytes(layer.shape, x.size() / kMoeHidden); },
      [&](Context& ctx) { return *RunMoe(ctx, layer, store, x, routing); });
}

// out[r] = sum over k of weights[r, k] * expert(x[r]), plus sigmoid(shared_gate x) * shared(x).
Row MoeReference(Compute compute, const MoeLayer& layer, const std::vector<float>& x,
                 const TestRouting& routing) {
  Row all;
  for (size_t r = 0; r < x.size() / kMoeHidden; ++r) {
    std::vector<DotProduct> sums(kMoeHidden);
    const auto add = [&](Bounded weight, const Row& y) {
      for (size_t i = 0; i < kMoeHidden; ++i) {
        sums[i].Add(weight, y[i]);
        sums[i].Add(0, 0);  // with two planes an expert is two terms of the sum
      }
    };
    for (size_t k = 0; k < kMoeTopK; ++k) {
      const size_t i = r * kMoeTopK + k;
      add(double{routing.weights[i]},
          SwiGluOf(layer.experts[Index(routing.ids[i])], &x[r * kMoeHidden], compute));
    }
    if (layer.shape.shared_width != 0) {
      // The product of the gate is float32 always.
      const Bounded gate = MatVec(layer.shared_gate, Exact(x, r * kMoeHidden, kMoeHidden))[0];
      add(Sigmoid(gate), SwiGluOf(layer.shared, &x[r * kMoeHidden], compute));
    }
    for (const DotProduct& sum : sums) all.push_back(sum.Sum());
  }
  return all;
}

TEST(Moe, IsTheFormulaInEveryFormat) {
  for (const SwiGluFormats& formats : kMoeFormats) {
    for (const size_t shared_width : {size_t{0}, kSharedWidth}) {
      MoeLayer layer(formats, shared_width);
      for (const Compute compute : {Compute::kF32, Compute::kInt8}) {
        for (const size_t rows : {1, 2, 9}) {
          const std::vector<float> x = RandomFloats(rows * kMoeHidden, 1, -2, 2);
          TestRouting routing(rows, 2);
          ExpectWithinBounds(MoeReference(compute, layer, x, routing),
                             MoeEverywhere(compute, layer, layer.experts.store(), x, routing),
                             Name(formats.down) + ", " + std::to_string(rows) + " rows", 0.01);
        }
      }
    }
  }
}

TEST(Moe, NeitherThreadsNorOtherRowsChangeABit) {
  constexpr size_t kRows = 40;
  MoeLayer layer(kMoeFormats[1]);
  const std::vector<float> x = RandomFloats(kRows * kMoeHidden, 3, -2, 2);
  TestRouting routing(kRows, 4);
  for (const Compute compute : {Compute::kF32, Compute::kInt8}) {
    const auto together = MoeEverywhere(compute, layer, layer.experts.store(), x, routing);
    for (size_t r = 0; r < kRows; r += 9) {
      const auto at = x.begin() + static_cast<std::ptrdiff_t>(r * kMoeHidden);
      TestRouting one(1, 0);
      std::copy_n(routing.ids.begin() + static_cast<std::ptrdiff_t>(r * kMoeTopK), kMoeTopK,
                  one.ids.begin());
      const auto row = together.begin() + static_cast<std::ptrdiff_t>(r * kMoeHidden);
      ExpectSameBits(
          {row, row + kMoeHidden},
          MoeEverywhere(compute, layer, layer.experts.store(), {at, at + kMoeHidden}, one),
          "row " + std::to_string(r));
    }
  }
}

// The first choice of a row is added first, the shared expert last.
TEST(Moe, SumsInTheOrderOfTheRouting) {
  MoeLayer routed(kMoeFormats[0], 0);
  MoeLayer layer(kMoeFormats[0]);
  const std::vector<float> x = RandomFloats(kMoeHidden, 5, -2, 2);
  const std::vector<float> ids = {6, 2, 5};
  TestRouting routing(1, 0);
  for (size_t k = 0; k < kMoeTopK; ++k) routing.ids[k] = ExpertId(static_cast<uint32_t>(ids[k]));
  TestContext context(kernels::AvailableIsas()[0], 2, MoeScratchBytes(layer.shape, 1),
                      Compute::kF32);
  // Output of one expert: the weights of the others are 0.
  const auto alone = [&](size_t k) {
    TestRouting only = routing;
    for (size_t i = 0; i < kMoeTopK; ++i) only.weights[i] = i == k ? 1 : 0;
    return *RunMoe(*context, routed, routed.experts.store(), x, only);
  };
  std::vector<float> sum(kMoeHidden);
  for (size_t k = 0; k < kMoeTopK; ++k) {
    const std::vector<float> y = alone(k);
    for (size_t i = 0; i < kMoeHidden; ++i) sum[i] = std::fma(routing.weights[k], y[i], sum[i]);
  }
  ExpectSameBits(sum, *RunMoe(*context, routed, routed.experts.store(), x, routing), "routed");

  std::vector<float> shared(kMoeHidden);
  Activations activations(x.data(), 1, kMoeHidden);
  DenseFfn(*context, layer.shared.weights(), activations, shared.data());
  const quant::TiledMatrix gate_weights = layer.shared_gate.tiled();
  float gate = 0;
  Linear(*context, activations, {{&gate_weights, {&gate, 1}}});
  for (size_t i = 0; i < kMoeHidden; ++i) {
    sum[i] = std::fma(kernels::SigmoidMul(1.0f, gate), shared[i], sum[i]);
  }
  ExpectSameBits(sum, *RunMoe(*context, layer, layer.experts.store(), x, routing), "with shared");
}

// Hands out the experts of another store in waves of at most `wave`, the last ones first, and
// records the request. The first `good` calls succeed, the next one fails.
class WaveStore final : public experts::ExpertStore {
 public:
  WaveStore(experts::ResidentStore& from, size_t wave, size_t good = 1000)
      : from_(from), wave_(wave), good_(good) {}
  Status Acquire(const experts::ExpertRequest& request, experts::Acquisition& out) override {
    layer = request.layer;
    ids.assign(request.ids.begin(), request.ids.end());
    rows.assign(request.rows.begin(), request.rows.end());
    begins.assign(request.begins.begin(), request.begins.end());
    Begin(out, ids.size());
    left_ = ids.size();
    return Hand(out);
  }
  Status Wait(experts::Acquisition& out) override {
    ReleaseReady(out);
    return Hand(out);
  }

  LayerId layer{};
  std::vector<ExpertId> ids;
  std::vector<uint32_t> rows;
  std::vector<uint32_t> begins;
  int pinned = 0;

 private:
  Status Hand(experts::Acquisition& out) {
    if (good_-- == 0) {
      out.Clear();
      return Error{Code::kIo, "expert: short read"};
    }
    for (size_t i = 0; i < wave_ && left_ > 0; ++i) {
      --left_;
      ++pinned;
      HandOut(out, static_cast<uint32_t>(left_), 0, from_.Record(layer, ids[left_]));
    }
    return Ok();
  }
  void Unpin(uint32_t) override { --pinned; }

  experts::ResidentStore& from_;
  const size_t wave_;
  size_t good_;
  size_t left_ = 0;
};

TEST(Moe, TheOrderInWhichExpertsArriveChangesNoBit) {
  for (const SwiGluFormats& formats : kMoeFormats) {
    MoeLayer layer(formats);
    for (const size_t rows : {1, 9}) {
      const std::vector<float> x = RandomFloats(rows * kMoeHidden, 6, -2, 2);
      TestRouting routing(rows, 7);
      const auto expected = MoeEverywhere(Compute::kInt8, layer, layer.experts.store(), x, routing);
      for (const size_t wave : {1, 2, 100}) {
        WaveStore store(layer.experts.store(), wave);
        ExpectSameBits(expected, MoeEverywhere(Compute::kInt8, layer, store, x, routing),
                       "waves of " + std::to_string(wave));
        EXPECT_EQ(store.pinned, 0);
      }
    }
  }
}

TEST(Moe, AsksForEachExpertOnce) {
  MoeLayer layer(kMoeFormats[0], 0);
  const std::vector<float> x = RandomFloats(3 * kMoeHidden, 8);
  TestRouting routing(3, 0);
  const uint32_t chosen[] = {5, 0, 2, 2, 7, 5, 0, 5, 1};
  for (size_t i = 0; i < 9; ++i) routing.ids[i] = ExpertId(chosen[i]);
  TestContext context(kernels::Isa::kScalar, 1, MoeScratchBytes(layer.shape, 3), Compute::kF32);
  WaveStore store(layer.experts.store(), 1);
  ASSERT_TRUE(RunMoe(*context, layer, store, x, routing).ok());
  EXPECT_EQ(store.layer, TestExperts::kLayer);
  EXPECT_EQ(store.ids, (std::vector<ExpertId>{ExpertId(0), ExpertId(1), ExpertId(2), ExpertId(5),
                                              ExpertId(7)}));
  EXPECT_EQ(store.begins, (std::vector<uint32_t>{0, 2, 3, 5, 8, 9}));
  EXPECT_EQ(store.rows, (std::vector<uint32_t>{0, 2, 2, 0, 1, 0, 1, 2, 1}));
}

TEST(Moe, AnErrorOfTheStoreEndsIt) {
  MoeLayer layer(kMoeFormats[0]);
  const std::vector<float> x = RandomFloats(4 * kMoeHidden, 9);
  TestRouting routing(4, 10);
  TestContext context(kernels::Isa::kScalar, 1, MoeScratchBytes(layer.shape, 4), Compute::kF32);
  for (const size_t good : {0, 1, 2}) {
    WaveStore store(layer.experts.store(), 1, good);
    const auto out = RunMoe(*context, layer, store, x, routing);
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, Code::kIo);
    EXPECT_EQ(store.pinned, 0);
  }
}

}  // namespace
}  // namespace mach::ops
