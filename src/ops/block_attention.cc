#include "ops/block_attention.h"

#include <algorithm>

#include "kernels/table.h"

namespace mach::ops {
namespace {

using kernels::kAttentionSpan;
using kernels::kKvBlock;

// Slots that see the same positions share a pass over the keys, at most so many.
constexpr size_t kSharedRows = 4;

struct BlockPartials {
  float* maximum;
  float* sum;
  float* out;
};

// Positions [first, end).
struct Range {
  size_t first;
  size_t end;
};

Range Visible(const BlockAttentionArgs& a, size_t row) {
  const size_t position = a.start + row;
  Range r{a.first, a.causal ? position + 1 : a.start + a.rows};
  if (a.window != 0) {
    if (position + 1 > a.window) r.first = std::max(r.first, position + 1 - a.window);
    r.end = std::min(r.end, position + a.window);
  }
  return r;
}

}  // namespace

size_t KvRing::BlocksFor(size_t positions) { return (positions + kKvBlock - 1) / kKvBlock + 1; }

void BlockAttention(Context& ctx, const KvRing& kv, const BlockAttentionArgs& a, float* out) {
  const ArenaScope scope(ctx.arena);
  const size_t shared = a.causal || a.window != 0 ? 1 : std::min(a.rows, kSharedRows);
  const size_t parts = (a.rows + shared - 1) / shared;
  const size_t d = kv.head_dim;
  const size_t most = shared * a.group;
  const size_t threads = ctx.pool.threads();
  auto* scores = ctx.arena.Take<float>(threads * most * kAttentionSpan);
  auto* maximum = ctx.arena.Take<float>(threads * 2 * most);
  auto* sum = ctx.arena.Take<float>(threads * 2 * most);
  auto* partial = ctx.arena.Take<float>(threads * 2 * most * d);

  ctx.pool.ParallelFor(kv.kv_heads * parts, 1, [&](size_t begin, size_t end, size_t worker) {
    const auto slot = [&](size_t which) {
      const size_t at = (worker * 2 + which) * most;
      return BlockPartials{maximum + at, sum + at, partial + at * d};
    };
    for (size_t item = begin; item < end; ++item) {
      const size_t head = item / parts;
      const size_t row = item % parts * shared;
      const size_t rows = std::min(shared, a.rows - row);
      const size_t heads = rows * a.group;
      const Range range = Visible(a, row);
      const BlockPartials whole = slot(0);
      // Spans begin at a block. The first span also has positions before range.first, which are
      // left out.
      for (size_t base = range.first / kKvBlock * kKvBlock; base < range.end;
           base += kAttentionSpan) {
        const bool leading = base <= range.first;
        const BlockPartials to = leading ? whole : slot(1);
        const size_t positions = std::min(range.end - base, kAttentionSpan);
        kernels::KvBlock blocks[kAttentionSpan / kKvBlock];
        for (size_t p = 0; p < positions; p += kKvBlock) {
          blocks[p / kKvBlock] = {kv.Keys(head, base + p), kv.Values(head, base + p)};
        }
        ctx.kernels.attention({.q = a.q + (head * a.rows + row) * a.group * d,
                               .heads = heads,
                               .head_dim = d,
                               .blocks = blocks,
                               .first = leading ? range.first - base : 0,
                               .positions = positions,
                               .f16 = kv.f16,
                               .scores = scores + worker * most * kAttentionSpan,
                               .maximum = to.maximum,
                               .sum = to.sum,
                               .out = to.out});
        if (leading) continue;
        for (size_t h = 0; h < heads; ++h) {
          ctx.kernels.attention_merge(whole.maximum + h, whole.sum + h, whole.out + h * d,
                                      to.maximum + h, to.sum + h, to.out + h * d, d);
        }
      }
      for (size_t h = 0; h < heads; ++h) {
        const size_t r = row + h / a.group;
        float* to = out + ((r * kv.kv_heads + head) * a.group + h % a.group) * d;
        const float scale = 1.0f / whole.sum[h];
        for (size_t i = 0; i < d; ++i) to[i] = whole.out[h * d + i] * scale;
      }
    }
  });
}

size_t BlockAttentionScratchBytes(const KvRing& kv, size_t rows, size_t group, size_t threads) {
  const size_t most = std::min(rows, kSharedRows) * group;
  return Arena::Footprint<float>(threads * most * kAttentionSpan) +
         2 * Arena::Footprint<float>(threads * 2 * most) +
         Arena::Footprint<float>(threads * 2 * most * kv.head_dim);
}

}  // namespace mach::ops
