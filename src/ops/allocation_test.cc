// No op allocates, not even in its first call: the context and ReserveMoe make room beforehand.
#include <algorithm>

#include <gtest/gtest.h>

#include "base/testing/allocations.h"
#include "cache/sequence_state.h"
#include "cache/state_shape.h"
#include "experts/expert_store.h"
#include "kernels/table.h"
#include "ops/attention.h"
#include "ops/block_attention.h"
#include "ops/delta_net.h"
#include "ops/rows.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_swiglu.h"
#include "quant/tiled.h"

namespace mach::ops {
namespace {

constexpr size_t kAllocRows = 5;
constexpr size_t kAllocHidden = 64;
constexpr size_t kAllocThreads = 2;

// Allocations of `run`, by all threads.
template <class F>
uint64_t AllocationsOf(F run) {
  const uint64_t before = test::Allocations();
  run();
  return test::Allocations() - before;
}

TEST(Allocations, AreCounted) {
  EXPECT_EQ(AllocationsOf([] { ::operator delete(::operator new(1)); }), 1u);
}

class NoAllocation : public testing::TestWithParam<Compute> {
 protected:
  NoAllocation()
      : context_(kernels::AvailableIsas()[0], kAllocThreads, size_t{8} << 20, GetParam()),
        x_(RandomFloats(kAllocRows * kAllocHidden, 1)),
        out_(x_.size()) {}

  Context& ctx() { return *context_; }
  Activations Rows() { return {x_.data(), kAllocRows, kAllocHidden}; }

  TestContext context_;
  std::vector<float> x_;
  std::vector<float> out_;
  MemoryLedger ledger_{size_t{64} << 20};
};

TEST_P(NoAllocation, RowsAndLinear) {
  const TestMatrix w(kAllocHidden, kAllocHidden, kQ4, 2);
  const quant::TiledMatrix tiled = w.tiled();
  const std::vector<float> norm(kAllocHidden, 1.0f);
  EXPECT_EQ(AllocationsOf([&] {
              Activations x = Rows();
              RmsNorm(ctx(), x_.data(), kAllocRows, kAllocHidden, norm.data(), 1e-6f, out_.data());
              Linear(ctx(), x, {{&tiled, {out_.data(), kAllocHidden}}});
              Add(ctx(), out_.data(), x_.data(), kAllocRows, kAllocHidden);
              EXPECT_TRUE(AllFinite(ctx(), out_.data(), kAllocRows, kAllocHidden));
            }),
            0u);
}

TEST_P(NoAllocation, DenseFfn) {
  const TestSwiGlu w(kAllocHidden, 2 * kAllocHidden, {kQ4, kQ4, kQ4}, 3);
  EXPECT_EQ(AllocationsOf([&] {
              Activations x = Rows();
              DenseFfn(ctx(), w.weights(), x, out_.data());
            }),
            0u);
}

TEST_P(NoAllocation, RouteAndMoe) {
  constexpr size_t kCount = 12;
  TestExperts experts(kCount, kAllocHidden, kAllocHidden, {kQ4, kQ4, kQ4});
  const TestSwiGlu shared(kAllocHidden, kAllocHidden, {kQ4, kQ4, kQ4}, 4);
  const TestMatrix gate(1, kAllocHidden, kQ4, 5);
  const TestMatrix router(kCount, kAllocHidden, kQ4, 6);
  const MoeShape shape{.hidden = kAllocHidden,
                       .experts = kCount,
                       .top_k = 4,
                       .width = kAllocHidden,
                       .shared_width = kAllocHidden};
  const MoeWeights weights{router.tiled(), shared.weights(), gate.tiled(), experts.layout()};
  MoeScratch scratch;
  ReserveMoe(shape, kAllocRows, ctx(), scratch);
  ExpertId ids[kAllocRows * 4];
  float shares[kAllocRows * 4];
  const Routing routing{ids, shares};
  Activations x = Rows();
  EXPECT_EQ(AllocationsOf([&] { Route(ctx(), shape, weights.router, x, routing); }), 0u);
  // The first acquisition grows, by as many allocations as one that is the store's alone.
  std::vector<ExpertId> distinct(ids, std::end(ids));
  std::ranges::sort(distinct);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  experts::Acquisition own;
  const uint64_t growth = AllocationsOf([&] {
    EXPECT_TRUE(experts.store().Acquire({TestExperts::kLayer, distinct}, own).ok());
  });
  const auto acquire = [&] {
    EXPECT_TRUE(
        AcquireExperts(shape, TestExperts::kLayer, experts.store(), scratch, kAllocRows, routing)
            .ok());
  };
  const auto moe = [&] {
    EXPECT_TRUE(Moe(ctx(), shape, weights, experts.store(), scratch, x, routing, out_.data()).ok());
  };
  EXPECT_EQ(AllocationsOf(acquire), growth);
  EXPECT_EQ(AllocationsOf(moe), 0u);
  EXPECT_EQ(AllocationsOf(acquire), 0u);
  EXPECT_EQ(AllocationsOf(moe), 0u);
}

TEST_P(NoAllocation, Attention) {
  const AttentionShape shape{.hidden = kAllocHidden,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 16,
                             .rotary = 16,
                             .gated = true,
                             .eps = 1e-6f};
  const TestMatrix q(128, kAllocHidden, kQ4, 7);
  const TestMatrix kv(32, kAllocHidden, kQ4, 8);
  const TestMatrix o(kAllocHidden, 64, kQ4, 9);
  const std::vector<float> ones(256, 1.0f);
  const AttentionWeights weights{q.tiled(), kv.tiled(),  kv.tiled(),
                                 o.tiled(), ones.data(), ones.data()};
  const cache::StateShape state_shape{.kv = {{2, 16}}, .max_tokens = 64};
  const auto state = *cache::SequenceState::Create(state_shape, ledger_);
  ASSERT_TRUE(state->PrepareTokens(kAllocRows).ok());
  EXPECT_EQ(AllocationsOf([&] {
              Activations x = Rows();
              ops::Attention(ctx(), shape, weights, 0, {ones.data(), ones.data()}, x, *state,
                             out_.data());
            }),
            0u);
}

TEST_P(NoAllocation, BlockAttention) {
  KvRing ring{2, 16, KvRing::BlocksFor(kAllocRows), true, nullptr};
  std::vector<std::byte> memory(ring.bytes());
  ring.data = memory.data();
  std::vector<float> out(kAllocRows * 2 * 2 * 16);
  const std::vector<float> q(out.size(), 0.1f);
  EXPECT_EQ(AllocationsOf([&] {
              ops::BlockAttention(ctx(), ring, {.q = q.data(), .rows = kAllocRows, .group = 2},
                                  out.data());
            }),
            0u);
}

TEST_P(NoAllocation, DeltaNet) {
  const DeltaNetShape shape{.hidden = kAllocHidden,
                            .key_heads = 1,
                            .value_heads = 2,
                            .key_dim = 32,
                            .value_dim = 32,
                            .conv_taps = 4,
                            .eps = 1e-6f};
  const TestMatrix qkv(shape.conv_channels(), kAllocHidden, kQ4, 10);
  const TestMatrix z(64, kAllocHidden, kQ4, 11);
  const TestMatrix gate(2, kAllocHidden, kQ4, 12);
  const TestMatrix last(kAllocHidden, 64, kQ4, 13);
  const std::vector<float> ones(4 * shape.conv_channels(), 1.0f);
  const DeltaNetWeights weights{qkv.tiled(), z.tiled(),   gate.tiled(), gate.tiled(), last.tiled(),
                                ones.data(), ones.data(), ones.data(),  ones.data()};
  const cache::StateShape state_shape{.recurrent = {{2, 32, 32, shape.conv_channels(), 4}},
                                      .max_tokens = 64};
  const auto state = *cache::SequenceState::Create(state_shape, ledger_);
  const auto pass = [&] {
    Activations x = Rows();
    ops::DeltaNet(ctx(), shape, weights, state->marked(), x, state->recurrent(0), out_.data());
  };
  EXPECT_EQ(AllocationsOf(pass), 0u);
  state->AdvanceTokens(kAllocRows);
  ASSERT_TRUE(state->Mark(kAllocRows).ok());
  EXPECT_EQ(AllocationsOf(pass), 0u);
}

INSTANTIATE_TEST_SUITE_P(Computes, NoAllocation, testing::Values(Compute::kInt8, Compute::kF32),
                         [](const auto& compute) {
                           return compute.param == Compute::kInt8 ? "int8" : "f32";
                         });

}  // namespace
}  // namespace mach::ops
