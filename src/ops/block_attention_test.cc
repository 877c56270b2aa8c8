#include "ops/block_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "ops/testing/reference.h"
#include "ops/testing/test_context.h"
#include "ops/testing/test_matrix.h"
#include "tensor/dtype.h"

namespace mach::ops {
namespace {

struct BlockCase {
  const char* what;
  size_t rows;
  size_t group;
  size_t start;   // position of the first slot
  size_t first;   // oldest position in the ring
  size_t window;  // 0: none
  bool causal;
  bool f16;
};

constexpr size_t kHeads = 2;
constexpr size_t kDim = 20;

// A ring with keys and values of positions [first, start + rows), exact in half precision. All
// other elements are NaN, so that a use of them is noticed.
class TestRing {
 public:
  explicit TestRing(const BlockCase& c) : first_(c.first), end_(c.start + c.rows) {
    ring_ = {kHeads, kDim, KvRing::BlocksFor(end_ - first_), c.f16, nullptr};
    memory_.assign(ring_.bytes(), std::byte{0xFF});
    ring_.data = memory_.data();
    keys_ = RandomFloats((end_ - first_) * kHeads * kDim, 1, -2, 2);
    values_ = RandomFloats(keys_.size(), 2, -1, 3);
    for (std::vector<float>* all : {&keys_, &values_}) {
      for (float& value : *all) value = std::nearbyint(value * 64) / 64;
    }
    // Keys of a KV block are [head_dim, 64], values [64, head_dim].
    for (size_t p = first_; p < end_; ++p) {
      for (size_t h = 0; h < kHeads; ++h) {
        for (size_t i = 0; i < kDim; ++i) {
          Store(ring_.Keys(h, p), i * 64 + p % 64, keys_[Index(p, h) + i]);
          Store(ring_.Values(h, p), p % 64 * kDim + i, values_[Index(p, h) + i]);
        }
      }
    }
  }
  const KvRing& ring() const { return ring_; }
  Row Key(size_t position, size_t head) const { return Exact(keys_, Index(position, head), kDim); }
  Row Value(size_t position, size_t head) const {
    return Exact(values_, Index(position, head), kDim);
  }

 private:
  size_t Index(size_t position, size_t head) const {
    return ((position - first_) * kHeads + head) * kDim;
  }
  void Store(std::byte* base, size_t i, float value) const {
    const uint16_t half = tensor::F32ToF16(value);
    if (ring_.f16) {
      std::memcpy(base + 2 * i, &half, 2);
    } else {
      std::memcpy(base + 4 * i, &value, 4);
    }
  }

  size_t first_;
  size_t end_;
  KvRing ring_;
  std::vector<std::byte> memory_;
  std::vector<float> keys_;
  std::vector<float> values_;
};

// Whether the slot at `position` sees position p of the ring.
bool Sees(const BlockCase& c, size_t position, size_t p) {
  if (c.causal && p > position) return false;
  const size_t distance = p > position ? p - position : position - p;
  return c.window == 0 || distance < c.window;
}

// q: [kv_heads, rows, group, head_dim].
Row BlockReference(const BlockCase& c, const TestRing& ring, const std::vector<float>& q) {
  Row out;
  for (size_t r = 0; r < c.rows; ++r) {
    for (size_t h = 0; h < kHeads; ++h) {
      std::vector<Row> keys;
      std::vector<Row> values;
      for (size_t p = c.first; p < c.start + c.rows; ++p) {
        if (!Sees(c, c.start + r, p)) continue;
        keys.push_back(ring.Key(p, h));
        values.push_back(ring.Value(p, h));
      }
      for (size_t g = 0; g < c.group; ++g) {
        const Row query = Exact(q, ((h * c.rows + r) * c.group + g) * kDim, kDim);
        const Row y = SoftmaxAttention(query, keys, values);
        out.insert(out.end(), y.begin(), y.end());
      }
    }
  }
  return out;
}

std::vector<float> BlockEverywhere(const BlockCase& c, const TestRing& ring,
                                   const std::vector<float>& q) {
  return RunEverywhere(
      Compute::kF32,
      [&](size_t threads) {
        return BlockAttentionScratchBytes(ring.ring(), c.rows, c.group, threads);
      },
      [&](Context& ctx) {
        std::vector<float> out(c.rows * kHeads * c.group * kDim);
        BlockAttention(ctx, ring.ring(),
                       {.q = q.data(),
                        .rows = c.rows,
                        .group = c.group,
                        .start = c.start,
                        .first = c.first,
                        .window = c.window,
                        .causal = c.causal},
                       out.data());
        return out;
      });
}

constexpr BlockCase kBlockCases[] = {
    {"a block alone", 5, 2, 0, 0, 0, false, false},
    {"one slot", 1, 3, 0, 0, 0, false, false},
    {"slots that share keys, and a rest", 10, 2, 130, 0, 0, false, false},
    {"half precision", 10, 2, 130, 0, 0, false, true},
    {"causal", 7, 1, 61, 0, 0, true, false},
    {"a window", 9, 2, 200, 0, 50, false, false},
    {"a window that begins with the ring", 9, 2, 20, 0, 64, false, false},
    {"a window smaller than the block", 9, 2, 200, 0, 4, false, false},
    {"a causal window", 9, 2, 200, 0, 17, true, false},
    {"a window of one", 4, 1, 70, 0, 1, true, false},
    {"the ring begins within a block", 6, 2, 300, 137, 0, false, false},
    {"the ring has wrapped, with a window", 6, 2, 1000, 901, 90, true, false},
    {"two spans", 6, 2, 1021, 0, 0, false, false},
    {"three spans that begin within a block", 5, 1, 2500, 100, 0, false, false},
    {"causal over the end of a span", 6, 1, 1021, 0, 0, true, true},
};

TEST(BlockAttention, EverySlotSeesItsPositions) {
  for (const BlockCase& c : kBlockCases) {
    const TestRing ring(c);
    const std::vector<float> q = RandomFloats(kHeads * c.rows * c.group * kDim, 3, -0.5f, 0.5f);
    ExpectWithinBounds(BlockReference(c, ring, q), BlockEverywhere(c, ring, q), c.what, 0.01);
  }
}

// Only causal slots see the same positions in a smaller block.
TEST(BlockAttention, TheNumberOfSlotsChangesNoBitOfACausalBlock) {
  const BlockCase all{"all", 8, 2, 100, 0, 0, true, true};
  const TestRing ring(all);
  const std::vector<float> q = RandomFloats(kHeads * all.rows * all.group * kDim, 3);
  const std::vector<float> together = BlockEverywhere(all, ring, q);
  const size_t width = kHeads * all.group * kDim;
  for (size_t r = 0; r < all.rows; ++r) {
    BlockCase one = all;
    one.rows = 1;
    one.start = all.start + r;
    std::vector<float> query;
    for (size_t h = 0; h < kHeads; ++h) {
      const auto at =
          q.begin() + static_cast<std::ptrdiff_t>((h * all.rows + r) * all.group * kDim);
      query.insert(query.end(), at, at + static_cast<std::ptrdiff_t>(all.group * kDim));
    }
    const auto row = together.begin() + static_cast<std::ptrdiff_t>(r * width);
    ExpectSameBits({row, row + static_cast<std::ptrdiff_t>(width)},
                   BlockEverywhere(one, ring, query), "slot " + std::to_string(r));
  }
}

TEST(KvRing, HasABlockForEveryNeighbour) {
  EXPECT_EQ(KvRing::BlocksFor(1), 2u);
  EXPECT_EQ(KvRing::BlocksFor(64), 2u);  // from position 63 on, they lie in two
  EXPECT_EQ(KvRing::BlocksFor(65), 3u);
}

}  // namespace
}  // namespace mach::ops
