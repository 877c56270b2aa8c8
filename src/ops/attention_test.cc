#include "ops/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/table.h"
#include "ops/testing/reference.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_matrix.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

constexpr size_t kLedgerBytes = size_t{64} << 20;

// A layer with random weights.
struct AttentionLayer {
  AttentionShape shape;
  TestMatrix q;
  TestMatrix k;
  TestMatrix v;
  TestMatrix o;
  std::vector<float> q_norm;
  std::vector<float> k_norm;

  explicit AttentionLayer(const AttentionShape& s, const Format& format = kF32)
      : shape(s),
        q(s.heads * s.head_dim * (s.gated ? 2 : 1), s.hidden, format, 1),
        k(s.kv_heads * s.head_dim, s.hidden, format, 2),
        v(s.kv_heads * s.head_dim, s.hidden, format, 3),
        o(s.hidden, s.heads * s.head_dim, format, 4),
        // Scores of about 3, so that attention prefers some positions.
        q_norm(RandomFloats(s.head_dim, 5, 1, 2.5f)),
        k_norm(RandomFloats(s.head_dim, 6, 1, 2.5f)) {}

  AttentionWeights weights() const {
    return {q.tiled(), k.tiled(), v.tiled(), o.tiled(), q_norm.data(), k_norm.data()};
  }
};

// Random angles for each row: attention takes the table as it is.
struct Angles {
  std::vector<float> cos;
  std::vector<float> sin;

  Angles(size_t positions, size_t rotary)
      : cos(positions * rotary / 2), sin(positions * rotary / 2) {
    const std::vector<float> angle = RandomFloats(cos.size(), 7, -3, 3);
    for (size_t i = 0; i < cos.size(); ++i) {
      cos[i] = std::cos(angle[i]);
      sin[i] = std::sin(angle[i]);
    }
  }
};

// RMS norm with weights, then rotation of the first `rotary` dimensions in halves.
Row NormAndRotate(const Row& x, const std::vector<float>& weight, float eps, size_t rotary,
                  const Angles& angles, size_t position) {
  Row out = RmsNormed(x, weight, eps);
  const size_t half = rotary / 2;
  for (size_t i = 0; i < half; ++i) {
    const Bounded cos = double{angles.cos[position * half + i]};
    const Bounded sin = double{angles.sin[position * half + i]};
    const Bounded a = out[i];
    const Bounded b = out[i + half];
    out[i] = a * cos - b * sin;
    out[i + half] = b * cos + a * sin;
  }
  return out;
}

// Keys and values of positions [0, positions), exact in half precision.
struct Past {
  size_t positions;
  size_t width;  // kv_heads * head_dim
  std::vector<float> keys;
  std::vector<float> values;

  Past(const AttentionShape& s, size_t n)
      : positions(n),
        width(s.kv_heads * s.head_dim),
        keys(RandomFloats(n * width, 8, -2, 2)),
        values(RandomFloats(n * width, 9, -1, 3)) {
    for (std::vector<float>* all : {&keys, &values}) {
      for (float& value : *all) value = std::nearbyint(value * 64) / 64;
    }
  }

  // Keys of a KV block are [head_dim, 64], values [64, head_dim].
  void Write(cache::SequenceState& state, size_t layer, const AttentionShape& s, bool f16) const {
    const size_t d = s.head_dim;
    ASSERT_TRUE(state.PrepareTokens(positions).ok());
    for (size_t p = 0; p < positions; ++p) {
      for (size_t h = 0; h < s.kv_heads; ++h) {
        std::byte* k = state.Keys(layer, h, p / 64);
        std::byte* v = state.Values(layer, h, p / 64);
        for (size_t i = 0; i < d; ++i) {
          Store(k, i * 64 + p % 64, keys[p * width + h * d + i], f16);
          Store(v, p % 64 * d + i, values[p * width + h * d + i], f16);
        }
      }
    }
    state.AdvanceTokens(positions);
  }
  static void Store(std::byte* base, size_t i, float value, bool f16) {
    const uint16_t half = tensor::F32ToF16(value);
    if (f16) {
      std::memcpy(base + 2 * i, &half, 2);
    } else {
      std::memcpy(base + 4 * i, &value, 4);
    }
  }
};

// Expected output for rows x at the positions after the past.
Row AttentionReference(const AttentionLayer& layer, const Past& past, const std::vector<float>& x,
                       bool f16, const Angles& angles) {
  const AttentionShape& s = layer.shape;
  const size_t d = s.head_dim;
  std::vector<std::vector<Row>> keys(s.kv_heads);  // by head, then position
  std::vector<std::vector<Row>> values(s.kv_heads);
  for (size_t p = 0; p < past.positions; ++p) {
    for (size_t h = 0; h < s.kv_heads; ++h) {
      keys[h].push_back(Exact(past.keys, p * past.width + h * d, d));
      values[h].push_back(Exact(past.values, p * past.width + h * d, d));
    }
  }
  Row out;
  for (size_t r = 0; r < x.size() / s.hidden; ++r) {
    const Row row = Exact(x, r * s.hidden, s.hidden);
    const Row k = MatVec(layer.k, row);
    const Row v = MatVec(layer.v, row);
    for (size_t h = 0; h < s.kv_heads; ++h) {
      const Row key = NormAndRotate(Part(k, h, d), layer.k_norm, s.eps, s.rotary, angles, r);
      keys[h].push_back(f16 ? Halves(key) : key);
      values[h].push_back(f16 ? Halves(Part(v, h, d)) : Part(v, h, d));
    }
    const Row projected = MatVec(layer.q, row);
    Row attended;
    for (size_t h = 0; h < s.heads; ++h) {
      // With gates, a head's rows are its query and then its gate.
      const size_t part = s.gated ? 2 * h : h;
      Row q = NormAndRotate(Part(projected, part, d), layer.q_norm, s.eps, s.rotary, angles, r);
      const Bounded scale = Bounded(1) / Sqrt(Bounded(static_cast<double>(d)));
      for (Bounded& value : q) value = value * scale;
      const size_t kv_head = h / (s.heads / s.kv_heads);
      Row y = SoftmaxAttention(q, keys[kv_head], values[kv_head]);
      if (s.gated) {
        const Row gate = Part(projected, part + 1, d);
        for (size_t i = 0; i < d; ++i) y[i] = y[i] * Sigmoid(gate[i]);
      }
      attended.insert(attended.end(), y.begin(), y.end());
    }
    const Row result = MatVec(layer.o, attended);
    out.insert(out.end(), result.begin(), result.end());
  }
  return out;
}

struct AttentionCase {
  AttentionShape shape;
  size_t before;  // positions in the state
  size_t rows;
  bool f16;
};

std::string Name(const AttentionCase& c) {
  return std::to_string(c.shape.heads) + "/" + std::to_string(c.shape.kv_heads) + " heads of " +
         std::to_string(c.shape.head_dim) + (c.shape.gated ? ", gated" : "") + ", " +
         std::to_string(c.rows) + " rows after " + std::to_string(c.before) +
         (c.f16 ? ", f16" : ", f32");
}

// Output of the op for rows x at the positions after the past, in chunks.
std::vector<float> Attend(Context& ctx, const AttentionLayer& layer, const Past& past,
                          const std::vector<float>& x, bool f16, const Angles& angles,
                          size_t chunk) {
  const AttentionShape& s = layer.shape;
  const size_t rows = x.size() / s.hidden;
  MemoryLedger ledger(kLedgerBytes);
  // The layer under test is the second, so that a wrong index is noticed.
  const cache::StateShape shape{
      .kv = {{1, 4}, {s.kv_heads, s.head_dim}}, .kv_f16 = f16, .max_tokens = past.positions + rows};
  const auto state = *cache::SequenceState::Create(shape, ledger);
  past.Write(*state, 1, s, f16);
  std::vector<float> out(x.size());
  for (size_t at = 0; at < rows; at += chunk) {
    const ArenaScope scope(ctx.arena);
    const size_t n = std::min(chunk, rows - at);
    EXPECT_TRUE(state->PrepareTokens(n).ok());
    Activations activations(x.data() + at * s.hidden, n, s.hidden);
    const size_t angle = at * s.rotary / 2;
    Attention(ctx, s, layer.weights(), 1, {&angles.cos[angle], &angles.sin[angle]}, activations,
              *state, out.data() + at * s.hidden);
    state->AdvanceTokens(n);
  }
  return out;
}

constexpr AttentionShape kGrouped{
    .hidden = 32, .heads = 4, .kv_heads = 2, .head_dim = 16, .rotary = 16, .eps = 1e-3f};
constexpr AttentionShape kGated{.hidden = 48,
                                .heads = 6,
                                .kv_heads = 1,
                                .head_dim = 20,
                                .rotary = 8,
                                .gated = true,
                                .eps = 1e-3f};
constexpr AttentionShape kUngrouped{
    .hidden = 32, .heads = 3, .kv_heads = 3, .head_dim = 8, .rotary = 4, .eps = 1e-3f};

void ExpectAttention(const AttentionCase& c) {
  const AttentionLayer layer(c.shape);
  const Past past(c.shape, c.before);
  const std::vector<float> x = RandomFloats(c.rows * c.shape.hidden, 10);
  const Angles angles(c.rows, c.shape.rotary);
  const auto got = RunEverywhere(
      Compute::kF32,
      [&](size_t threads) {
        return AttentionScratchBytes(c.shape, c.rows, c.before + c.rows, threads);
      },
      [&](Context& ctx) { return Attend(ctx, layer, past, x, c.f16, angles, c.rows); });
  ExpectWithinBounds(AttentionReference(layer, past, x, c.f16, angles), got, Name(c),
                     c.f16 ? 0.05 : 0.01);
}

TEST(AttentionOp, TheFirstPositionSeesItself) {
  for (const AttentionShape& shape : {kGrouped, kGated, kUngrouped}) {
    ExpectAttention({shape, 0, 1, false});
  }
}

TEST(AttentionOp, RowsSeeWhatCameBeforeThem) {
  for (const AttentionShape& shape : {kGrouped, kGated, kUngrouped}) {
    for (const bool f16 : {false, true}) {
      ExpectAttention({shape, 0, 7, f16});
      ExpectAttention({shape, 61, 6, f16});  // over the end of a KV block
    }
  }
}

// One row is split by spans, eight rows are not, and four rows depending on the threads. Partial
// results of spans are merged in all cases.
TEST(AttentionOp, LongContexts) {
  ExpectAttention({kGrouped, 1022, 4, false});
  ExpectAttention({kUngrouped, 1020, 8, false});
  ExpectAttention({kGated, 2060, 1, false});
  ExpectAttention({kGated, 2060, 1, true});
}

// The 40 rows cross a KV block and a span.
TEST(AttentionOp, NeitherChunksNorThreadsChangeABit) {
  constexpr size_t kRows = 40;
  const AttentionShape& shape = kGrouped;
  const AttentionLayer layer(shape, {tensor::DType::kBF16, 8, 32});
  const Past past(shape, 1000);
  const std::vector<float> x = RandomFloats(kRows * shape.hidden, 11);
  const Angles angles(kRows, shape.rotary);
  const auto arena = [&](size_t threads) {
    return AttentionScratchBytes(shape, kRows, past.positions + kRows, threads);
  };
  const auto together = RunEverywhere(Compute::kInt8, arena, [&](Context& ctx) {
    return Attend(ctx, layer, past, x, true, angles, kRows);
  });
  for (const size_t chunk : {1, 7, 24}) {
    TestContext context(kernels::AvailableIsas()[0], 3, arena(3), Compute::kInt8);
    ExpectSameBits(together, Attend(*context, layer, past, x, true, angles, chunk),
                   "chunks of " + std::to_string(chunk));
  }
}

}  // namespace
}  // namespace mach::ops
