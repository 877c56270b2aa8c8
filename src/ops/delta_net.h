// Gated delta net, in its recurrent form (architectures.md 1.3).
#pragma once

#include "cache/sequence_state.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace mach::ops {

struct DeltaNetShape {
  size_t hidden = 0;
  size_t key_heads = 0;
  size_t value_heads = 0;
  size_t key_dim = 0;
  size_t value_dim = 0;
  size_t conv_taps = 0;
  float eps = 0;  // of the gated norm

  size_t key_width() const { return key_heads * key_dim; }
  size_t value_width() const { return value_heads * value_dim; }
  size_t conv_channels() const { return 2 * key_width() + value_width(); }
};

// Non-owning; valid as long as the model.
struct DeltaNetWeights {
  quant::TiledMatrix qkv;          // [conv_channels, hidden]: q | k | v
  quant::TiledMatrix z;            // [value_width, hidden]
  quant::TiledMatrix a;            // [value_heads, hidden]
  quant::TiledMatrix b;            // [value_heads, hidden]
  quant::TiledMatrix out;          // [hidden, value_width]
  const float* conv = nullptr;     // [taps, conv_channels]
  const float* a_log = nullptr;    // [value_heads]
  const float* dt_bias = nullptr;  // [value_heads]
  const float* norm = nullptr;     // [value_dim]
};

// x: normed rows that follow the state's tokens. Replays pending steps first; under a mark the rows
// go on the tape and the state stays (SequenceState). Writes out_proj of the result into out [rows,
// hidden].
void DeltaNet(Context& ctx, const DeltaNetShape& shape, const DeltaNetWeights& w, bool marked,
              Activations& x, cache::SequenceState::Recurrent& state, float* out);

// Replays the steps that are pending, as DeltaNet would do first.
void ReplayPending(Context& ctx, const DeltaNetShape& shape,
                   cache::SequenceState::Recurrent& state);

size_t DeltaNetScratchBytes(const DeltaNetShape& shape, size_t rows, size_t threads);

}  // namespace mach::ops
