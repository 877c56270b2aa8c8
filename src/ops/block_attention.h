// Attention of a block of draft slots over a context that lies in a ring of KV blocks.
#pragma once

#include <cstddef>

#include "ops/context.h"

namespace mach::ops {

// Keys and values of the last positions of one layer. Position p lies in ring block (p / 64) %
// blocks, so that what leaves the window is overwritten. Non-owning.
struct KvRing {
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t blocks = 0;
  bool f16 = false;
  std::byte* data = nullptr;  // bytes(), zeroed

  // Enough blocks for `positions` neighbouring positions, wherever they begin.
  static size_t BlocksFor(size_t positions);
  size_t bytes() const { return 2 * blocks * kv_heads * head_bytes(); }
  size_t head_bytes() const { return head_dim * kernels::kKvBlock * (f16 ? 2 : 4); }
  std::byte* Keys(size_t head, size_t position) const {
    const size_t block = position / kernels::kKvBlock % blocks;
    return data + 2 * (block * kv_heads + head) * head_bytes();
  }
  std::byte* Values(size_t head, size_t position) const {
    return Keys(head, position) + head_bytes();
  }
};

struct BlockAttentionArgs {
  const float* q = nullptr;  // [kv_heads, rows, group, head_dim], scaled and rotated
  size_t rows = 0;   // slots, at positions [start, start + rows); their keys are in the ring
  size_t group = 0;  // query heads of one KV head
  size_t start = 0;
  size_t first = 0;     // oldest position in the ring
  size_t window = 0;    // distance below which a slot sees a position; 0: any
  bool causal = false;  // slots do not see later slots
};

// out [rows, kv_heads * group * head_dim].
void BlockAttention(Context& ctx, const KvRing& kv, const BlockAttentionArgs& args, float* out);

size_t BlockAttentionScratchBytes(const KvRing& kv, size_t rows, size_t group, size_t threads);

}  // namespace mach::ops
