#include "ops/delta_net.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "kernels/table.h"
#include "ops/testing/reference.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_matrix.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

using DeltaState = cache::SequenceState::Recurrent;

constexpr size_t kPanel = 16;  // value columns of a panel of the state

// A layer with random weights.
struct DeltaLayer {
  DeltaNetShape shape;
  TestMatrix qkv;
  TestMatrix z;
  TestMatrix a;
  TestMatrix b;
  TestMatrix out;
  std::vector<float> conv;
  std::vector<float> a_log;
  std::vector<float> dt_bias;
  std::vector<float> norm;

  DeltaLayer(const DeltaNetShape& s, const Format& format)
      : shape(s),
        qkv(s.conv_channels(), s.hidden, format, 1),
        z(s.value_width(), s.hidden, format, 2),
        a(s.value_heads, s.hidden, format, 3),
        b(s.value_heads, s.hidden, format, 4),
        out(s.hidden, s.value_width(), format, 5),
        conv(RandomFloats(s.conv_taps * s.conv_channels(), 6)),
        a_log(RandomFloats(s.value_heads, 7, -2, 0.5f)),
        dt_bias(RandomFloats(s.value_heads, 8, -2, 2)),
        norm(RandomFloats(s.value_dim, 9, 0.5f, 1.5f)) {}

  DeltaNetWeights weights() const {
    return {qkv.tiled(), z.tiled(),    a.tiled(),      b.tiled(),  out.tiled(),
            conv.data(), a_log.data(), dt_bias.data(), norm.data()};
  }
  cache::StateShape state_shape() const {
    return {.recurrent = {{shape.value_heads, shape.key_dim, shape.value_dim, shape.conv_channels(),
                           shape.conv_taps}},
            .max_tokens = 1024};
  }
};

// Two value heads for each key head; the second panel of a value head is half full.
constexpr DeltaNetShape kSmall{.hidden = 32,
                               .key_heads = 2,
                               .value_heads = 4,
                               .key_dim = 12,
                               .value_dim = 24,
                               .conv_taps = 4,
                               .eps = 1e-3f};
constexpr DeltaNetShape kOneHead{.hidden = 64,
                                 .key_heads = 1,
                                 .value_heads = 1,
                                 .key_dim = 32,
                                 .value_dim = 16,
                                 .conv_taps = 2,
                                 .eps = 1e-3f};

// A sequence that consists of this layer.
class DeltaSequence {
 public:
  explicit DeltaSequence(const DeltaLayer& layer)
      : layer_(layer), state_(*cache::SequenceState::Create(layer.state_shape(), ledger_)) {}

  // Rows [begin, begin + rows) of x through the op.
  std::vector<float> Run(Context& ctx, const std::vector<float>& x, size_t begin, size_t rows) {
    const size_t hidden = layer_.shape.hidden;
    const ArenaScope scope(ctx.arena);
    Activations activations(x.data() + begin * hidden, rows, hidden);
    std::vector<float> out(rows * hidden);
    DeltaNet(ctx, layer_.shape, layer_.weights(), state_->marked(), activations, recurrent(),
             out.data());
    state_->AdvanceTokens(rows);
    return out;
  }

  cache::SequenceState& state() { return *state_; }
  DeltaState& recurrent() { return state_->recurrent(0); }
  // Matrices and histories.
  std::vector<float> Content() {
    const DeltaState& r = recurrent();
    std::vector<float> all(r.state, r.state + r.shape.state_floats());
    all.insert(all.end(), r.history, r.history + r.shape.history_floats());
    return all;
  }

 private:
  const DeltaLayer& layer_;
  MemoryLedger ledger_{size_t{16} << 20};
  std::unique_ptr<cache::SequenceState> state_;
};

// Results of one step.
struct DeltaStep {
  Row out;
  Row matrices;  // [value_heads, key_dim, value_dim], after the step
  Row input;     // of the convolution
};

// One step of the formula (DeltaNet's comment) from a state: its matrices, and its history
// [taps - 1, channels], oldest first.
DeltaStep Step(const DeltaLayer& layer, const Row& matrices, const Row& history, const Row& x) {
  const DeltaNetShape& s = layer.shape;
  DeltaStep step{.matrices = matrices, .input = MatVec(layer.qkv, x)};
  const size_t channels = s.conv_channels();
  Row mixed;
  for (size_t c = 0; c < channels; ++c) {
    DotProduct sum;
    for (size_t j = 0; j + 1 < s.conv_taps; ++j) {
      sum.Add(double{layer.conv[j * channels + c]}, history[j * channels + c]);
    }
    sum.Add(double{layer.conv[(s.conv_taps - 1) * channels + c]}, step.input[c]);
    mixed.push_back(Silu(sum.Sum()));
  }
  const auto unit = [&](size_t begin, Bounded scale) {
    const Row head(mixed.begin() + static_cast<std::ptrdiff_t>(begin),
                   mixed.begin() + static_cast<std::ptrdiff_t>(begin + s.key_dim));
    DotProduct squares;
    for (const Bounded& value : head) squares.Add(value, value);
    const Bounded inverse = Bounded(1) / Sqrt(squares.Sum() + Bounded(1e-6));
    Row y;
    for (const Bounded& value : head) y.push_back(value * inverse * scale);
    return y;
  };
  const Row z = MatVec(layer.z, x);
  const Row a = MatVec(layer.a, x);
  const Row b = MatVec(layer.b, x);
  Row gated;
  for (size_t h = 0; h < s.value_heads; ++h) {
    const size_t key_head = h / (s.value_heads / s.key_heads);
    const Bounded root = Sqrt(Bounded(static_cast<double>(s.key_dim)));
    const Row q = unit(key_head * s.key_dim, Bounded(1) / root);
    const Row k = unit((s.key_heads + key_head) * s.key_dim, 1);
    // The op computes both in float64 and rounds once.
    const Bounded decay = Monotone(a[h], [&](double value) {
      const double softplus = std::log1p(std::exp(value + double{layer.dt_bias[h]}));
      return std::exp(-std::exp(double{layer.a_log[h]}) * softplus);
    });
    const Bounded beta = Monotone(b[h], [](double value) { return 1 / (1 + std::exp(-value)); });
    Row o;
    for (size_t c = 0; c < s.value_dim; ++c) {
      const auto matrix = [&](size_t i) -> Bounded& {
        return step.matrices[(h * s.key_dim + i) * s.value_dim + c];
      };
      DotProduct recalled;
      for (size_t i = 0; i < s.key_dim; ++i) recalled.Add(matrix(i), k[i]);
      const Bounded v = mixed[2 * s.key_heads * s.key_dim + h * s.value_dim + c];
      const Bounded delta = beta * (v - decay * recalled.Sum());
      DotProduct output;
      for (size_t i = 0; i < s.key_dim; ++i) {
        matrix(i) = matrix(i) * decay + k[i] * delta;
        output.Add(matrix(i), q[i]);
      }
      o.push_back(output.Sum());
    }
    const Row normed = RmsNormed(o, layer.norm, s.eps);
    for (size_t c = 0; c < s.value_dim; ++c) {
      gated.push_back(normed[c] * Silu(z[h * s.value_dim + c]));
    }
  }
  step.out = MatVec(layer.out, gated);
  return step;
}

// The matrices [value_heads, key_dim, value_dim] of a state, whose memory is
// [value_heads, panels, key_dim, 16].
std::vector<float> Matrices(const DeltaNetShape& s, const DeltaState& r) {
  std::vector<float> out;
  for (size_t h = 0; h < s.value_heads; ++h) {
    for (size_t i = 0; i < s.key_dim; ++i) {
      for (size_t c = 0; c < s.value_dim; ++c) {
        const size_t panel = h * r.shape.panels() + c / kPanel;
        out.push_back(r.state[(panel * s.key_dim + i) * kPanel + c % kPanel]);
      }
    }
  }
  return out;
}

// The reference makes each step from the op's own state, so that a bound covers one step.
TEST(DeltaNet, EachStepIsTheFormula) {
  for (const DeltaNetShape& s : {kSmall, kOneHead}) {
    const DeltaLayer layer(s, kF32);
    constexpr size_t kSteps = 6;
    const std::vector<float> x = RandomFloats(kSteps * s.hidden, 10);
    TestContext context(kernels::AvailableIsas()[0], 2, DeltaNetScratchBytes(s, 1, 2),
                        Compute::kF32);
    DeltaSequence sequence(layer);
    for (size_t t = 0; t < kSteps; ++t) {
      SCOPED_TRACE(t);
      const DeltaState& r = sequence.recurrent();
      const std::vector<float> matrices = Matrices(s, r);
      const std::vector<float> history(r.history, r.history + r.shape.history_floats());
      const std::vector<float> out = sequence.Run(*context, x, t, 1);
      const DeltaStep step =
          Step(layer, Exact(matrices, 0, matrices.size()), Exact(history, 0, history.size()),
               Exact(x, t * s.hidden, s.hidden));
      ExpectWithinBounds(step.out, out, "output", 0.01);
      ExpectWithinBounds(step.matrices, Matrices(s, r), "matrices");
      const size_t channels = s.conv_channels();
      const size_t kept = (s.conv_taps - 2) * channels;
      const std::vector<float> after(r.history, r.history + r.shape.history_floats());
      EXPECT_TRUE(std::equal(history.begin() + static_cast<std::ptrdiff_t>(channels), history.end(),
                             after.begin()));
      ExpectWithinBounds(step.input,
                         {after.begin() + static_cast<std::ptrdiff_t>(kept), after.end()},
                         "newest input");
    }
  }
}

constexpr Format kDeltaFormat{tensor::DType::kBF16, 8, 32};
constexpr Compute kComputes[] = {Compute::kF32, Compute::kInt8};

// Outputs of rows in chunks, then the state after them.
std::vector<float> RunInChunks(Context& ctx, const DeltaLayer& layer, const std::vector<float>& x,
                               size_t rows, size_t chunk) {
  DeltaSequence sequence(layer);
  std::vector<float> all;
  for (size_t at = 0; at < rows; at += chunk) {
    const auto out = sequence.Run(ctx, x, at, std::min(chunk, rows - at));
    all.insert(all.end(), out.begin(), out.end());
  }
  const std::vector<float> content = sequence.Content();
  all.insert(all.end(), content.begin(), content.end());
  return all;
}

// 70 rows are more than one call of the kernel takes.
TEST(DeltaNet, NeitherChunksNorThreadsChangeABit) {
  constexpr size_t kRows = 70;
  const DeltaLayer layer(kSmall, kDeltaFormat);
  const std::vector<float> x = RandomFloats(kRows * kSmall.hidden, 11);
  const auto arena = [&](size_t threads) { return DeltaNetScratchBytes(kSmall, kRows, threads); };
  for (const Compute compute : kComputes) {
    const auto together = RunEverywhere(
        compute, arena, [&](Context& ctx) { return RunInChunks(ctx, layer, x, kRows, kRows); });
    for (const size_t chunk : {1, 2, 5, 64}) {
      TestContext context(kernels::AvailableIsas()[0], 3, arena(3), compute);
      ExpectSameBits(together, RunInChunks(*context, layer, x, kRows, chunk),
                     "chunks of " + std::to_string(chunk));
    }
  }
}

TEST(DeltaNet, AMarkedPassLeavesTheStateAlone) {
  const DeltaLayer layer(kSmall, kDeltaFormat);
  const std::vector<float> x = RandomFloats(20 * kSmall.hidden, 12);
  TestContext context(kernels::AvailableIsas()[0], 2, DeltaNetScratchBytes(kSmall, 10, 2),
                      Compute::kInt8);
  DeltaSequence plain(layer);
  DeltaSequence marked(layer);
  ExpectSameBits(plain.Run(*context, x, 0, 10), marked.Run(*context, x, 0, 10), "before");
  const std::vector<float> before = marked.Content();
  ASSERT_TRUE(marked.state().Mark(10).ok());
  // A pass under the mark continues from the steps of the passes before it.
  for (const auto& [begin, rows] : {std::pair<size_t, size_t>{10, 1}, {11, 4}, {15, 5}}) {
    ExpectSameBits(plain.Run(*context, x, begin, rows), marked.Run(*context, x, begin, rows),
                   "from " + std::to_string(begin));
    ExpectSameBits(before, marked.Content(), "state");
  }
  EXPECT_EQ(marked.recurrent().recorded, 10u);
}

// After a rollback the state becomes that of the kept steps: by ReplayPending, or in the next pass.
TEST(DeltaNet, KeptStepsAreReplayed) {
  constexpr size_t kBefore = 3;
  constexpr size_t kDraft = 6;
  const DeltaLayer layer(kSmall, kDeltaFormat);
  const std::vector<float> x = RandomFloats(20 * kSmall.hidden, 13);
  TestContext context(kernels::AvailableIsas()[0], 2, DeltaNetScratchBytes(kSmall, 10, 2),
                      Compute::kInt8);
  for (size_t kept = 0; kept <= kDraft; ++kept) {
    for (const bool alone : {false, true}) {
      SCOPED_TRACE("kept " + std::to_string(kept));
      DeltaSequence plain(layer);
      plain.Run(*context, x, 0, kBefore);
      for (size_t t = 0; t < kept; ++t) plain.Run(*context, x, kBefore + t, 1);
      DeltaSequence marked(layer);
      marked.Run(*context, x, 0, kBefore);
      ASSERT_TRUE(marked.state().Mark(kDraft).ok());
      marked.Run(*context, x, kBefore, kDraft);
      marked.state().Rollback(kBefore + kept);
      EXPECT_EQ(marked.recurrent().pending, kept);
      if (alone) {
        ReplayPending(*context, kSmall, marked.recurrent());
        EXPECT_EQ(marked.recurrent().pending, 0u);
        ExpectSameBits(plain.Content(), marked.Content(), "replayed");
      }
      ExpectSameBits(plain.Run(*context, x, 10, 4), marked.Run(*context, x, 10, 4), "next pass");
      ExpectSameBits(plain.Content(), marked.Content(), "state");
    }
  }
}

// The products of the gates are float32 whatever the context computes in. The tape shows the gates.
TEST(DeltaNet, GatesAreAlwaysFloat) {
  const DeltaLayer layer(kSmall, kDeltaFormat);
  constexpr size_t kRows = 3;
  const std::vector<float> x = RandomFloats(kRows * kSmall.hidden, 14);
  std::vector<std::vector<float>> gates;
  std::vector<std::vector<float>> inputs;
  for (const Compute compute : kComputes) {
    TestContext context(kernels::AvailableIsas()[0], 1, DeltaNetScratchBytes(kSmall, kRows, 1),
                        compute);
    DeltaSequence sequence(layer);
    ASSERT_TRUE(sequence.state().Mark(kRows).ok());
    sequence.Run(*context, x, 0, kRows);
    const DeltaState& r = sequence.recurrent();
    const size_t n = kRows * kSmall.value_heads;
    gates.emplace_back(r.tape_decay, r.tape_decay + n);
    gates.back().insert(gates.back().end(), r.tape_beta, r.tape_beta + n);
    inputs.emplace_back(r.tape_input, r.tape_input + kRows * kSmall.conv_channels());
  }
  ExpectSameBits(gates[0], gates[1], "decay and beta");
  EXPECT_NE(inputs[0], inputs[1]);  // these are integer products under kInt8
}

}  // namespace
}  // namespace mach::ops
