// Gated delta net, in its recurrent form.
#pragma once

#include "cache/sequence_state.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "quant/tiled.h"

namespace mach::ops {

// Value head h uses key head h / (value_heads / key_heads).
struct DeltaNetShape {
  size_t hidden = 0;
  size_t key_heads = 0;
  size_t value_heads = 0;  // a multiple of key_heads
  size_t key_dim = 0;      // of one head
  size_t value_dim = 0;    // of one head
  size_t conv_taps = 0;    // at most 16
  float eps = 0;           // of the gated norm

  size_t key_width() const { return key_heads * key_dim; }
  size_t value_width() const { return value_heads * value_dim; }
  size_t conv_channels() const { return 2 * key_width() + value_width(); }
};

// Not owned; valid as long as the model.
struct DeltaNetWeights {
  quant::TiledMatrix qkv;          // [conv_channels, hidden]: q | k | v
  quant::TiledMatrix z;            // [value_width, hidden]
  quant::TiledMatrix a;            // [value_heads, hidden]
  quant::TiledMatrix b;            // [value_heads, hidden]
  quant::TiledMatrix out;          // [hidden, value_width]
  const float* conv = nullptr;     // [conv_taps, conv_channels]; the last tap is the newest row
  const float* a_log = nullptr;    // [value_heads]
  const float* dt_bias = nullptr;  // [value_heads]
  const float* norm = nullptr;     // [value_dim]
};

// For each row x (normed) after the tokens of the state, with u its input of the convolution:
//   u = Wqkv x;  c = silu(sum over j of conv[j] * u[j - taps + 1]);  q, k, v = split(c)
//   q = q / |q| / sqrt(key_dim);  k = k / |k|                            per key head
//   decay = exp(-exp(a_log) * softplus(Wa x + dt_bias));  beta = sigmoid(Wb x)   per value head
//   S = decay * S;  S += k (beta * (v - S^T k))^T;  o = S^T q            per value head
//   out = Wout concat(rms(o) * norm * silu(Wz x))
// The products with Wa and Wb are float32 always, the gates are float64 rounded to float32.
//
// Pending steps of the state are replayed first. Not marked: S and the history of u advance by the
// rows. Marked: both stay as they are, and the rows' inputs are appended to the tape
// (cache::SequenceState). x: [rows, hidden]. out: [rows, hidden].
void DeltaNet(Context& ctx, const DeltaNetShape& shape, const DeltaNetWeights& w, bool marked,
              Activations& x, cache::SequenceState::Recurrent& state, float* out);

// Replays the pending steps, as DeltaNet does first. Afterwards state.pending is 0.
void ReplayPending(Context& ctx, const DeltaNetShape& shape,
                   cache::SequenceState::Recurrent& state);

// Arena bytes of both for up to `rows` rows, on a pool of `threads`.
size_t DeltaNetScratchBytes(const DeltaNetShape& shape, size_t rows, size_t threads);

}  // namespace mach::ops
