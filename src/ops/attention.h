// Grouped-query softmax attention over the KV blocks of a sequence, with optional output gate.
#pragma once

#include <vector>

#include "cache/sequence_state.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "quant/tiled.h"

namespace mach::ops {

// Query head h uses KV head h / (heads / kv_heads).
struct AttentionShape {
  size_t hidden = 0;
  size_t heads = 0;  // query heads; a multiple of kv_heads
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t rotary = 0;   // rotated dimensions of a head, the first ones; even
  bool gated = false;  // q_proj has 2 * head_dim rows a head: its query, then its gate
  float eps = 0;       // of the query and key norms
};

// Not owned; valid as long as the model.
struct AttentionWeights {
  quant::TiledMatrix q;           // [heads * head_dim (* 2 when gated), hidden]
  quant::TiledMatrix k;           // [kv_heads * head_dim, hidden]
  quant::TiledMatrix v;           // [kv_heads * head_dim, hidden]
  quant::TiledMatrix o;           // [hidden, heads * head_dim]
  const float* q_norm = nullptr;  // [head_dim]
  const float* k_norm = nullptr;
};

// cos and sin of the angles of the rows' positions (RopeAngles).
struct RopeTable {
  const float* cos = nullptr;  // [rows, rotary / 2]
  const float* sin = nullptr;  // [rows, rotary / 2]
};

// For row r of x, at position p = state.length() + r, and each query head h:
//   q = rope(rms(Wq x) * q_norm) / sqrt(head_dim),  k = rope(rms(Wk x) * k_norm),  v = Wv x
//   y[h] = sum over j <= p of softmax over j (q . k[j]) * v[j],  times sigmoid(gate) when gated
//   out[r] = Wo concat(y)
// Writes k and v of the rows into attention layer `kv_layer` of the state, in its precision, and
// out [rows, hidden]. x [rows, hidden]: normed rows. REQUIRES: state.PrepareTokens(rows) succeeded.
// The caller advances the state.
void Attention(Context& ctx, const AttentionShape& shape, const AttentionWeights& w,
               size_t kv_layer, const RopeTable& rope, Activations& x, cache::SequenceState& state,
               float* out);

// Arena bytes for up to `rows` rows in a sequence of up to `tokens` positions, on a pool of
// `threads`.
size_t AttentionScratchBytes(const AttentionShape& shape, size_t rows, size_t tokens,
                             size_t threads);

}  // namespace mach::ops
