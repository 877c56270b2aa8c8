// Attention of a block of draft slots over a ring of KV blocks.
#pragma once

#include <cstddef>

#include "kernels/table.h"
#include "ops/context.h"

namespace mach::ops {

// Keys and values of the newest positions of one layer. Position p is in block
// (p / kernels::kKvBlock) % blocks, so that new positions overwrite the oldest ones. A block has
// for each KV head the keys, then the values (kernels::KvBlock). Does not own its memory.
struct KvRing {
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t blocks = 0;
  bool f16 = false;           // elements are f16, else f32
  std::byte* data = nullptr;  // bytes(), zeroed at first

  // Blocks that hold any `positions` consecutive positions.
  static size_t BlocksFor(size_t positions);
  size_t bytes() const { return 2 * blocks * kv_heads * head_bytes(); }
  // Keys, or values, of one head in one block.
  size_t head_bytes() const { return head_dim * kernels::kKvBlock * (f16 ? 2 : 4); }
  // Begin of a head's keys, and values, in the block of a position.
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
  size_t rows = 0;           // slots of the block, at positions [start, start + rows)
  size_t group = 0;          // query heads of one KV head
  size_t start = 0;          // position of the first slot
  size_t first = 0;          // oldest valid position of the ring
  size_t window = 0;         // a slot sees positions at a distance below this; 0: at any distance
  bool causal = false;       // a slot does not see the slots after it
};

// out[r, h] = sum over j of softmax over j (q[r, h] . k[j]) * v[j], where j runs over the positions
// in [first, start + rows) that slot r sees. out: [rows, kv_heads * group * head_dim].
// REQUIRES: keys and values of [first, start + rows) are in the ring, and every slot sees some.
void BlockAttention(Context& ctx, const KvRing& kv, const BlockAttentionArgs& args, float* out);

// Arena bytes for up to `rows` slots, on a pool of `threads`.
size_t BlockAttentionScratchBytes(const KvRing& kv, size_t rows, size_t group, size_t threads);

}  // namespace mach::ops
