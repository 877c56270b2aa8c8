#include "ops/delta_net.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "ops/rows.h"

namespace mach::ops {
namespace {

using Recurrent = cache::SequenceState::Recurrent;
constexpr size_t kColumns = cache::kPanelColumns;
constexpr float kL2Eps = 1e-6f;  // part of the architecture; not the eps of the norms

// Inputs of the delta rule for consecutive steps.
struct Steps {
  const float* conv_output;  // [steps, conv_channels]: q | k | v
  const float* decay;        // [steps, value_heads]
  const float* beta;
  size_t count;
};

// Runs steps on the state of one layer. A unit of work is one panel of 16 value columns of one
// head: its columns depend on no other column, so a worker takes all steps through one panel.
class DeltaRule {
 public:
  DeltaRule(Context& ctx, const DeltaNetShape& shape, const Recurrent& state)
      : ctx_(ctx), shape_(shape), state_(state) {
    columns_ = ctx.arena.Take<float>(ctx.pool.threads() * 2 * kColumns * kBatch);
    panels_ = ctx.arena.Take<float>(ctx.pool.threads() * shape.key_dim * kColumns);
  }

  // Runs `earlier`, then `steps`. provisional: on a copy of each panel, so that the state does not
  // change. out: outputs of `steps`, [steps, value_width]; may be null.
  void Run(const Steps& earlier, const Steps& steps, bool provisional, float* out) {
    const size_t items = shape_.value_heads * state_.shape.panels();
    ctx_.pool.ParallelFor(items, 1, [&](size_t begin, size_t end, size_t worker) {
      for (size_t item = begin; item < end; ++item) {
        const size_t floats = shape_.key_dim * kColumns;
        float* panel = state_.state + item * floats;
        if (provisional) {
          float* copy = panels_ + worker * floats;
          std::memcpy(copy, panel, floats * sizeof(float));
          panel = copy;
        }
        Panel(item, worker, earlier, panel, nullptr);
        Panel(item, worker, steps, panel, out);
      }
    });
  }

  static size_t ScratchBytes(const DeltaNetShape& shape, size_t threads) {
    return Arena::Footprint<float>(threads * 2 * kColumns * kBatch) +
           Arena::Footprint<float>(threads * shape.key_dim * kColumns);
  }

 private:
  static constexpr size_t kBatch = 64;  // most steps of one kernel call

  void Panel(size_t item, size_t worker, const Steps& steps, float* panel, float* out) const {
    const size_t head = item / state_.shape.panels();
    const size_t column = item % state_.shape.panels() * kColumns;
    const size_t width = std::min(kColumns, shape_.value_dim - column);
    const size_t channels = shape_.conv_channels();
    const size_t key_head = head / (shape_.value_heads / shape_.key_heads);
    const float* q = steps.conv_output + key_head * shape_.key_dim;
    const float* v = steps.conv_output + 2 * shape_.key_width() + head * shape_.value_dim + column;
    float* v_columns = columns_ + worker * 2 * kColumns * kBatch;  // padded to whole panels
    float* out_columns = v_columns + kColumns * kBatch;
    for (size_t first = 0; first < steps.count; first += kBatch) {
      const size_t n = std::min(kBatch, steps.count - first);
      for (size_t t = 0; t < n; ++t) {
        float* to = v_columns + t * kColumns;
        std::memcpy(to, v + (first + t) * channels, width * sizeof(float));
        std::fill(to + width, to + kColumns, 0.0f);
      }
      const size_t gate = first * shape_.value_heads + head;
      ctx_.kernels.delta_rule({.state = panel,
                               .key_dim = shape_.key_dim,
                               .tokens = n,
                               .q = q + first * channels,
                               .k = q + first * channels + shape_.key_width(),
                               .qk_stride = channels,
                               .v = v_columns,
                               .v_stride = kColumns,
                               .decay = steps.decay + gate,
                               .beta = steps.beta + gate,
                               .gate_stride = shape_.value_heads,
                               .out = out == nullptr ? nullptr : out_columns,
                               .out_stride = kColumns});
      for (size_t t = 0; out != nullptr && t < n; ++t) {
        std::memcpy(out + (first + t) * shape_.value_width() + head * shape_.value_dim + column,
                    out_columns + t * kColumns, width * sizeof(float));
      }
    }
  }

  Context& ctx_;
  const DeltaNetShape& shape_;
  const Recurrent& state_;
  float* columns_;
  float* panels_;
};

// The history becomes the last taps - 1 rows of [history; rows].
void ShiftHistory(Recurrent& state, const float* rows, size_t count) {
  const size_t channels = state.shape.conv_channels;
  const size_t keep = state.shape.conv_taps - 1;
  if (count >= keep) {
    std::memcpy(state.history, rows + (count - keep) * channels, keep * channels * sizeof(float));
    return;
  }
  std::memmove(state.history, state.history + count * channels,
               (keep - count) * channels * sizeof(float));
  std::memcpy(state.history + (keep - count) * channels, rows, count * channels * sizeof(float));
}

// outputs [rows, conv_channels]: q, k and v after the convolution, q and k also after the l2 norms.
// The convolution goes over the rows of [state.history; earlier; inputs].
void Convolve(Context& ctx, const DeltaNetShape& shape, const DeltaNetWeights& w,
              const Recurrent& state, const float* earlier, size_t earlier_count,
              const float* inputs, size_t rows, float* outputs) {
  const size_t channels = shape.conv_channels();
  const size_t taps = shape.conv_taps;
  const float q_scale = 1.0f / std::sqrt(static_cast<float>(shape.key_dim));
  // Row i of [history; earlier; inputs], i counted from the first input.
  const auto row = [&](std::ptrdiff_t i) -> const float* {
    if (i >= 0) return inputs + i * static_cast<std::ptrdiff_t>(channels);
    i += static_cast<std::ptrdiff_t>(earlier_count);
    if (i >= 0) return earlier + i * static_cast<std::ptrdiff_t>(channels);
    i += static_cast<std::ptrdiff_t>(taps - 1);
    return state.history + i * static_cast<std::ptrdiff_t>(channels);
  };
  constexpr size_t kMostTaps = 16;
  MACH_CHECK(taps <= kMostTaps);
  ctx.pool.ParallelFor(rows, RowGrain(channels, taps + 4), [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; ++t) {
      const float* window[kMostTaps];
      for (size_t j = 0; j < taps; ++j) {
        window[j] = row(static_cast<std::ptrdiff_t>(t + j) - static_cast<std::ptrdiff_t>(taps - 1));
      }
      float* to = outputs + t * channels;
      ctx.kernels.conv_silu(window, w.conv, taps, channels, to);
      for (size_t h = 0; h < shape.key_heads; ++h) {
        float* q = to + h * shape.key_dim;
        float* k = q + shape.key_width();
        ctx.kernels.l2_norm(q, kL2Eps, q_scale, shape.key_dim, q);
        ctx.kernels.l2_norm(k, kL2Eps, 1.0f, shape.key_dim, k);
      }
    }
  });
}

// In place: a becomes the decay exp(-exp(A_log) softplus(a + dt_bias)), b becomes sigmoid(b). In
// double, so that every libm gives the same float.
void Gates(const DeltaNetShape& shape, const DeltaNetWeights& w, size_t rows, float* a, float* b) {
  for (size_t t = 0; t < rows; ++t) {
    for (size_t h = 0; h < shape.value_heads; ++h) {
      const size_t i = t * shape.value_heads + h;
      const double x = static_cast<double>(a[i]) + static_cast<double>(w.dt_bias[h]);
      const double softplus = x > 20 ? x : std::log1p(std::exp(x));
      a[i] = static_cast<float>(std::exp(-std::exp(static_cast<double>(w.a_log[h])) * softplus));
      b[i] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(b[i]))));
    }
  }
}

}  // namespace

void ReplayPending(Context& ctx, const DeltaNetShape& shape, Recurrent& state) {
  if (state.pending == 0) return;
  const ArenaScope scope(ctx.arena);
  DeltaRule(ctx, shape, state)
      .Run({}, {state.tape_output, state.tape_decay, state.tape_beta, state.pending}, false,
           nullptr);
  ShiftHistory(state, state.tape_input, state.pending);
  state.pending = 0;
}

void DeltaNet(Context& ctx, const DeltaNetShape& shape, const DeltaNetWeights& w, bool marked,
              Activations& x, Recurrent& state, float* out) {
  const ArenaScope scope(ctx.arena);
  const size_t rows = x.rows();
  const size_t channels = shape.conv_channels();
  const size_t heads = shape.value_heads;

  ReplayPending(ctx, shape, state);
  DeltaRule rule(ctx, shape, state);
  const Steps earlier{state.tape_output, state.tape_decay, state.tape_beta, state.recorded};
  float* inputs = marked ? state.tape_input + state.recorded * channels
                         : ctx.arena.Take<float>(rows * channels);
  float* outputs = marked ? state.tape_output + state.recorded * channels
                          : ctx.arena.Take<float>(rows * channels);
  float* decay =
      marked ? state.tape_decay + state.recorded * heads : ctx.arena.Take<float>(rows * heads);
  float* beta =
      marked ? state.tape_beta + state.recorded * heads : ctx.arena.Take<float>(rows * heads);
  auto* z = ctx.arena.Take<float>(rows * shape.value_width());
  Linear(ctx, x, {{&w.qkv, {inputs, channels}}, {&w.z, {z, shape.value_width()}}});
  Linear(ctx, x, {{&w.a, {decay, heads}}, {&w.b, {beta, heads}}}, Compute::kF32);
  Gates(shape, w, rows, decay, beta);
  Convolve(ctx, shape, w, state, state.tape_input, state.recorded, inputs, rows, outputs);

  auto* y = ctx.arena.Take<float>(rows * shape.value_width());
  rule.Run(earlier, {outputs, decay, beta, rows}, marked, y);
  if (marked) {
    state.recorded += rows;
  } else {
    ShiftHistory(state, inputs, rows);
  }

  ctx.pool.ParallelFor(rows * heads, RowGrain(shape.value_dim, 4),
                       [&](size_t begin, size_t end, size_t) {
                         for (size_t i = begin; i < end; ++i) {
                           float* head = y + i * shape.value_dim;
                           ctx.kernels.rms_norm_gated(head, w.norm, z + i * shape.value_dim,
                                                      shape.eps, shape.value_dim, head);
                         }
                       });
  Activations result(y, rows, shape.value_width());
  Linear(ctx, result, {{&w.out, {out, shape.hidden}}});
}

size_t DeltaNetScratchBytes(const DeltaNetShape& s, size_t rows, size_t threads) {
  return DeltaRule::ScratchBytes(s, threads) +
         2 * Arena::Footprint<float>(rows * s.conv_channels()) +
         2 * Arena::Footprint<float>(rows * s.value_heads) +
         2 * Arena::Footprint<float>(rows * s.value_width()) +
         Activations::ScratchBytes(rows, s.hidden) +
         Activations::ScratchBytes(rows, s.value_width());
}

}  // namespace mach::ops
