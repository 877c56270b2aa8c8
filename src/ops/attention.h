// Softmax attention over KV blocks, with optional output gate (architectures.md 1.3, 2.3).
#pragma once

#include <vector>

#include "cache/sequence_state.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace mach::ops {

struct AttentionShape {
  size_t hidden = 0;
  size_t heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t rotary = 0;   // dimensions that rotate, from the first
  bool gated = false;  // q_proj holds query and gate, interleaved per head
  float eps = 0;       // of the query and key norms
};

// Non-owning; valid as long as the model.
struct AttentionWeights {
  quant::TiledMatrix q;  // [heads * head_dim (* 2 when gated), hidden]
  quant::TiledMatrix k;  // [kv_heads * head_dim, hidden]
  quant::TiledMatrix v;
  quant::TiledMatrix o;           // [hidden, heads * head_dim]
  const float* q_norm = nullptr;  // [head_dim]
  const float* k_norm = nullptr;
};

// cos and sin of the rows' positions: [rows, rotary / 2].
struct RopeTable {
  const float* cos = nullptr;
  const float* sin = nullptr;
};

// x: normed rows at positions [state.length(), + rows). Writes their keys and values into
// attention layer `kv_layer` of the state, and o_proj of the result into out [rows, hidden].
void Attention(Context& ctx, const AttentionShape& shape, const AttentionWeights& w,
               size_t kv_layer, const RopeTable& rope, Activations& x, cache::SequenceState& state,
               float* out);

// Arena bytes for up to `rows` rows in a context of `tokens`.
size_t AttentionScratchBytes(const AttentionShape& shape, size_t rows, size_t tokens,
                             size_t threads);

}  // namespace mach::ops
