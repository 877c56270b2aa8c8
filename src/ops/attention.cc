#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/table.h"
#include "ops/rows.h"

namespace mach::ops {
namespace {

using kernels::kAttentionSpan;
using kernels::kKvBlock;
static_assert(kKvBlock == cache::kBlockTokens);

constexpr size_t kBlocksPerSpan = kAttentionSpan / kKvBlock;

size_t Spans(size_t tokens) { return (tokens + kAttentionSpan - 1) / kAttentionSpan; }

// Few rows over a long context are split by spans, too, so that all threads have work.
bool SplitsSpans(const AttentionShape& shape, size_t rows, size_t threads) {
  return rows * shape.kv_heads < 4 * threads;
}

// Partial result of the query heads of one KV head over one span (kernels::AttentionArgs).
struct Partials {
  float* maximum;  // [heads]
  float* sum;      // [heads]
  float* out;      // [heads, head_dim]
};

// Attention of the query rows over the positions that each sees. An item is a (row, KV head); the
// positions of an item are divided into spans of kAttentionSpan.
//
// Every span has a partial result of its own, and those of an item are merged into the one of span
// 0 in ascending order. So both ways of dividing the work give the same bits:
//   split      a unit of work is an (item, span), and each has its own partial result; when all are
//              complete, a second loop merges them by item
//   not split  a unit is an item; a worker has two partial results, the merged one and the next
class Attender {
 public:
  Attender(Context& ctx, const AttentionShape& shape, size_t kv_layer, const float* q, size_t rows,
           cache::SequenceState& state, float* out)
      : ctx_(ctx),
        shape_(shape),
        kv_layer_(kv_layer),
        q_(q),
        rows_(rows),
        state_(state),
        out_(out) {
    group_ = shape.heads / shape.kv_heads;
    split_ = SplitsSpans(shape, rows, ctx.pool.active());
    spans_ = split_ ? Spans(state.length() + rows) : 2;
    workers_ = ctx.pool.threads();
    slots_ = split_ ? rows * shape.kv_heads : workers_;
    scores_ = ctx.arena.Take<float>(workers_ * group_ * kAttentionSpan);
    maximum_ = ctx.arena.Take<float>(slots_ * spans_ * group_);
    sum_ = ctx.arena.Take<float>(slots_ * spans_ * group_);
    partial_ = ctx.arena.Take<float>(slots_ * spans_ * group_ * shape.head_dim);
  }

  void Run() {
    if (!split_) {
      ctx_.pool.ParallelFor(rows_ * shape_.kv_heads, 1,
                            [&](size_t begin, size_t end, size_t worker) {
                              for (size_t i = begin; i < end; ++i) Whole(i, worker);
                            });
      return;
    }
    ctx_.pool.ParallelFor(slots_ * spans_, 1, [&](size_t begin, size_t end, size_t worker) {
      for (size_t i = begin; i < end; ++i) {
        const size_t item = i / spans_;
        if (i % spans_ < Spans(Visible(item))) Span(item, i % spans_, worker, At(item, i % spans_));
      }
    });
    ctx_.pool.ParallelFor(slots_, 1, [&](size_t begin, size_t end, size_t) {
      for (size_t item = begin; item < end; ++item) {
        for (size_t s = 1; s < Spans(Visible(item)); ++s) Merge(At(item, 0), At(item, s));
        Finish(item, At(item, 0));
      }
    });
  }

 private:
  // Positions that the item sees.
  size_t Visible(size_t item) const { return state_.length() + item / shape_.kv_heads + 1; }
  Partials At(size_t slot, size_t span) const {
    const size_t at = (slot * spans_ + span) * group_;
    return {maximum_ + at, sum_ + at, partial_ + at * shape_.head_dim};
  }

  void Whole(size_t item, size_t worker) {
    const Partials running = At(worker, 0);
    Span(item, 0, worker, running);
    for (size_t s = 1; s < Spans(Visible(item)); ++s) {
      Span(item, s, worker, At(worker, 1));
      Merge(running, At(worker, 1));
    }
    Finish(item, running);
  }

  void Span(size_t item, size_t span, size_t worker, const Partials& to) {
    const size_t row = item / shape_.kv_heads;
    const size_t kv_head = item % shape_.kv_heads;
    const size_t first = span * kAttentionSpan;
    const size_t positions = std::min(Visible(item) - first, kAttentionSpan);
    kernels::KvBlock blocks[kBlocksPerSpan];
    for (size_t b = 0; b * kKvBlock < positions; ++b) {
      const size_t block = first / kKvBlock + b;
      blocks[b] = {state_.Keys(kv_layer_, kv_head, block),
                   state_.Values(kv_layer_, kv_head, block)};
    }
    ctx_.kernels.attention({.q = q_ + (row * shape_.heads + kv_head * group_) * shape_.head_dim,
                            .heads = group_,
                            .head_dim = shape_.head_dim,
                            .blocks = blocks,
                            .positions = positions,
                            .f16 = state_.shape().kv_f16,
                            .scores = scores_ + worker * group_ * kAttentionSpan,
                            .maximum = to.maximum,
                            .sum = to.sum,
                            .out = to.out});
  }

  void Merge(const Partials& a, const Partials& b) const {
    for (size_t h = 0; h < group_; ++h) {
      ctx_.kernels.attention_merge(a.maximum + h, a.sum + h, a.out + h * shape_.head_dim,
                                   b.maximum + h, b.sum + h, b.out + h * shape_.head_dim,
                                   shape_.head_dim);
    }
  }

  void Finish(size_t item, const Partials& p) const {
    const size_t row = item / shape_.kv_heads;
    const size_t head = item % shape_.kv_heads * group_;
    for (size_t h = 0; h < group_; ++h) {
      float* to = out_ + (row * shape_.heads + head + h) * shape_.head_dim;
      const float scale = 1.0f / p.sum[h];
      for (size_t d = 0; d < shape_.head_dim; ++d) to[d] = p.out[h * shape_.head_dim + d] * scale;
    }
  }

  Context& ctx_;
  const AttentionShape& shape_;
  const size_t kv_layer_;
  const float* q_;
  const size_t rows_;
  cache::SequenceState& state_;
  float* out_;
  size_t group_;
  size_t spans_;
  size_t workers_;
  size_t slots_;
  bool split_;
  float* scores_;
  float* maximum_;
  float* sum_;
  float* partial_;
};

}  // namespace

void Attention(Context& ctx, const AttentionShape& shape, const AttentionWeights& w,
               size_t kv_layer, const RopeTable& rope, Activations& x, cache::SequenceState& state,
               float* out) {
  const ArenaScope scope(ctx.arena);
  const size_t rows = x.rows();
  const size_t d = shape.head_dim;
  const size_t q_width = shape.heads * d;
  const size_t kv_width = shape.kv_heads * d;
  const size_t projected_width = shape.gated ? 2 * q_width : q_width;
  auto* projected = ctx.arena.Take<float>(rows * projected_width);
  auto* k = ctx.arena.Take<float>(rows * kv_width);
  auto* v = ctx.arena.Take<float>(rows * kv_width);
  Linear(ctx, x,
         {{&w.q, {projected, projected_width}}, {&w.k, {k, kv_width}}, {&w.v, {v, kv_width}}});

  auto* q = ctx.arena.Take<float>(rows * q_width);
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  const size_t q_step = shape.gated ? 2 * d : d;  // from one head's query to the next
  ctx.pool.ParallelFor(
      rows, RowGrain(q_width + kv_width, 4), [&](size_t begin, size_t end, size_t) {
        for (size_t r = begin; r < end; ++r) {
          const float* cos = rope.cos + r * (shape.rotary / 2);
          const float* sin = rope.sin + r * (shape.rotary / 2);
          for (size_t h = 0; h < shape.heads; ++h) {
            float* head = q + r * q_width + h * d;
            ctx.kernels.rms_norm(projected + r * projected_width + h * q_step, w.q_norm, shape.eps,
                                 d, head);
            ctx.kernels.rope(head, cos, sin, shape.rotary);
            for (size_t i = 0; i < d; ++i) head[i] *= scale;
          }
          const size_t position = state.length() + r;
          for (size_t h = 0; h < shape.kv_heads; ++h) {
            float* head = k + r * kv_width + h * d;
            ctx.kernels.rms_norm(head, w.k_norm, shape.eps, d, head);
            ctx.kernels.rope(head, cos, sin, shape.rotary);
            const size_t block = position / kKvBlock;
            ctx.kernels.store_kv(state.Keys(kv_layer, h, block), state.Values(kv_layer, h, block),
                                 position % kKvBlock, head, v + r * kv_width + h * d, d,
                                 state.shape().kv_f16);
          }
        }
      });

  auto* attended = ctx.arena.Take<float>(rows * q_width);
  Attender(ctx, shape, kv_layer, q, rows, state, attended).Run();
  if (shape.gated) {
    ctx.pool.ParallelFor(rows * shape.heads, RowGrain(d, 4), [&](size_t begin, size_t end, size_t) {
      for (size_t i = begin; i < end; ++i) {
        ctx.kernels.sigmoid_mul(attended + i * d, projected + i * 2 * d + d, d);
      }
    });
  }
  Activations result(attended, rows, q_width);
  Linear(ctx, result, {{&w.o, {out, shape.hidden}}});
}

size_t AttentionScratchBytes(const AttentionShape& s, size_t rows, size_t tokens, size_t threads) {
  const size_t q_width = s.heads * s.head_dim;
  const size_t group = s.heads / s.kv_heads;
  const size_t split_rows = std::min(rows, 4 * threads / s.kv_heads + 1);
  const size_t partials = std::max(split_rows * s.kv_heads * Spans(tokens), 2 * threads) * group;
  return Arena::Footprint<float>(rows * q_width * (s.gated ? 2 : 1)) +
         2 * Arena::Footprint<float>(rows * s.kv_heads * s.head_dim) +
         2 * Arena::Footprint<float>(rows * q_width) +
         Arena::Footprint<float>(threads * group * kAttentionSpan) +
         2 * Arena::Footprint<float>(partials) + Arena::Footprint<float>(partials * s.head_dim) +
         Activations::ScratchBytes(rows, s.hidden) + Activations::ScratchBytes(rows, q_width);
}

}  // namespace mach::ops
