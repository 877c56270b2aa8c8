#include "spec/drafter.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "cache/sequence_state.h"
#include "kernels/table.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "quant/tiled.h"
#include "sample/sampler.h"
#include "tensor/dtype.h"

namespace mach::spec {
namespace {

constexpr size_t kAppendRows = 64;  // context rows that are computed together
// Slots that go through the head before `more` is asked: the panels of matrix products take four
// rows.
constexpr size_t kFirstSlots = 4;

size_t Window(const DraftLayerConfig& layer, size_t context) {
  const size_t most = layer.window != 0 ? std::min(layer.window, kDraftContext) : kDraftContext;
  return std::min(most, context);
}

std::vector<ops::KvRing> RingsOf(const DraftConfig& c, bool f16, size_t context) {
  std::vector<ops::KvRing> rings;
  for (const DraftLayerConfig& layer : c.layers) {
    rings.push_back({.kv_heads = c.kv_heads,
                     .head_dim = c.head_dim,
                     .blocks = ops::KvRing::BlocksFor(Window(layer, context) + kMaxBlock),
                     .f16 = f16});
  }
  return rings;
}

// Rounds the feature in place, too, so that a restored context equals the first one bit for bit.
void WriteContextFeature(std::span<float> feature, std::byte* to) {
  for (float& x : feature) {
    const uint16_t half = tensor::F32ToF16(x);
    std::memcpy(to, &half, sizeof half);
    to += sizeof half;
    x = tensor::F16ToF32(half);
  }
}

void ReadContextFeature(const std::byte* from, std::span<float> feature) {
  for (float& x : feature) {
    uint16_t half;
    std::memcpy(&half, from, sizeof half);
    from += sizeof half;
    x = tensor::F16ToF32(half);
  }
}

size_t RingBytes(std::span<const ops::KvRing> rings) {
  size_t bytes = 0;
  for (const ops::KvRing& ring : rings) bytes += RoundUp(ring.bytes(), kCacheLineBytes);
  return bytes;
}

}  // namespace

size_t Drafter::MemoryBytes(const DraftConfig& config, bool f16, size_t context, size_t threads) {
  const std::vector<ops::KvRing> rings = RingsOf(config, f16, context);
  return RingBytes(rings) + RoundUp(ScratchBytes(config, rings, threads), kPageBytes);
}

Result<std::unique_ptr<Drafter>> Drafter::Create(const DraftModel& draft,
                                                 const model::Model& target,
                                                 const kernels::KernelTable& kernels,
                                                 ThreadPool& pool, ops::Compute compute,
                                                 size_t context, MemoryLedger& ledger) {
  const DraftConfig& c = draft.config();
  std::vector<ops::KvRing> rings = RingsOf(c, compute == ops::Compute::kInt8, context);
  const size_t ring_bytes = RingBytes(rings);
  const size_t scratch = RoundUp(ScratchBytes(c, rings, pool.threads()), kPageBytes);
  MACH_TRY(MemoryReservation reservation, ledger.Reserve(MemoryTag::kDraft, ring_bytes + scratch));
  MACH_TRY(Arena arena, Arena::Create(scratch));
  std::unique_ptr<Drafter> made(
      new Drafter(draft, target, kernels, pool, std::move(arena), compute));
  made->reservation_ = std::move(reservation);
  MACH_TRY(made->memory_, AlignedBuffer::Allocate(ring_bytes));
  size_t at = 0;
  for (ops::KvRing& ring : rings) {
    ring.data = made->memory_.data() + at;
    at += RoundUp(ring.bytes(), kCacheLineBytes);
  }
  made->rings_ = std::move(rings);
  return made;
}

Drafter::Drafter(const DraftModel& draft, const model::Model& target,
                 const kernels::KernelTable& kernels, ThreadPool& pool, Arena arena,
                 ops::Compute compute)
    : draft_(draft),
      target_(target),
      inv_freq_(ops::RopeFrequencies(draft.config().rope_theta, draft.config().head_dim)),
      arena_(std::move(arena)),
      ctx_{kernels, pool, arena_, compute},
      max_block_(std::min(draft.config().block_size, kMaxBlock)) {}

size_t Drafter::ScratchBytes(const DraftConfig& c, std::span<const ops::KvRing> rings,
                             size_t threads) {
  const auto floats = [](size_t n) { return Arena::Footprint<float>(n); };
  const size_t kv = c.kv_heads * c.head_dim;
  const size_t q = c.heads * c.head_dim;
  const size_t angles = 2 * floats(kAppendRows * c.head_dim / 2);
  const size_t append = floats(kAppendRows * c.hidden) + 2 * floats(kAppendRows * kv) +
                        ops::Activations::ScratchBytes(kAppendRows, c.taps.size() * c.hidden) +
                        ops::Activations::ScratchBytes(kAppendRows, c.hidden);
  const size_t rows = kMaxBlock;
  size_t layer = ops::DenseFfnScratchBytes(c.hidden, c.width, rows);
  for (const ops::KvRing& ring : rings) {
    const size_t mix = 3 * floats(rows * q) + 2 * floats(rows * kv) +
                       ops::BlockAttentionScratchBytes(ring, rows, c.heads / c.kv_heads, threads) +
                       ops::Activations::ScratchBytes(rows, c.hidden) +
                       ops::Activations::ScratchBytes(rows, q);
    layer = std::max(layer, mix);
  }
  const size_t draft = 4 * floats(rows * c.hidden) + floats(rows * c.vocab) +
                       2 * ops::Activations::ScratchBytes(rows, c.hidden) + layer;
  return angles + std::max(append, draft);
}

void Drafter::Angles(size_t position, size_t rows, float* cos, float* sin) {
  const size_t n = inv_freq_.size();
  ctx_.pool.ParallelFor(rows, ops::RowGrain(n, 32), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      ops::RopeAngles(inv_freq_, position + r, cos + r * n, sin + r * n);
    }
  });
}

// Norms and rotates k in place, and stores k and v in the layer's ring.
void Drafter::StoreRows(size_t layer, size_t position, size_t rows, float* k, const float* v,
                        const float* cos, const float* sin) {
  const DraftConfig& c = draft_.config();
  const ops::KvRing& ring = rings_[layer];
  const size_t d = c.head_dim;
  const float* norm = draft_.layer(layer).attention.k_norm;
  ctx_.pool.ParallelFor(
      rows, ops::RowGrain(c.kv_heads * d, 4), [&](size_t begin, size_t end, size_t) {
        for (size_t r = begin; r < end; ++r) {
          for (size_t h = 0; h < c.kv_heads; ++h) {
            float* head = k + (r * c.kv_heads + h) * d;
            ctx_.kernels.rms_norm(head, norm, c.norm_eps, d, head);
            ctx_.kernels.rope(head, cos + r * (d / 2), sin + r * (d / 2), d);
            ctx_.kernels.store_kv(ring.Keys(h, position + r), ring.Values(h, position + r),
                                  (position + r) % kernels::kKvBlock, head,
                                  v + (r * c.kv_heads + h) * d, d, ring.f16);
          }
        }
      });
}

// Appends the keys and values that every layer makes of context features [rows, hidden].
// REQUIRES: rows <= kAppendRows.
void Drafter::AppendContext(const float* context, size_t rows) {
  const ArenaScope scope(arena_);
  const DraftConfig& c = draft_.config();
  const size_t kv = c.kv_heads * c.head_dim;
  auto* cos = arena_.Take<float>(rows * inv_freq_.size());
  auto* sin = arena_.Take<float>(rows * inv_freq_.size());
  auto* k = arena_.Take<float>(rows * kv);
  auto* v = arena_.Take<float>(rows * kv);
  Angles(length_, rows, cos, sin);
  ops::Activations x(context, rows, c.hidden);
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const ops::AttentionWeights& w = draft_.layer(i).attention;
    ops::Linear(ctx_, x, {{&w.k, {k, kv}}, {&w.v, {v, kv}}});
    StoreRows(i, length_, rows, k, v, cos, sin);
  }
  length_ += rows;
}

void Drafter::Append(const float* features, size_t rows, cache::SequenceState* state) {
  const size_t h = draft_.config().hidden;
  for (size_t at = 0; at < rows; at += kAppendRows) {
    const ArenaScope scope(arena_);
    const size_t n = std::min(kAppendRows, rows - at);
    auto* context = arena_.Take<float>(n * h);
    ops::Activations tapped(features + at * this->features(), n, this->features());
    ops::Linear(ctx_, tapped, {{&draft_.fc(), {context, h}}});
    ops::RmsNorm(ctx_, context, n, h, draft_.context_norm(), draft_.config().norm_eps, context);
    if (state != nullptr) {
      for (size_t r = 0; r < n; ++r) {
        WriteContextFeature({context + r * h, h}, state->Note(length_ + r));
      }
      state->SetNoted(length_, length_ + n);
    }
    AppendContext(context, n);
  }
}

void Drafter::RestoreContext(cache::SequenceState* state, size_t first, size_t length) {
  MACH_CHECK(length_ == 0 && first <= length && (state != nullptr || first == length));
  const size_t h = draft_.config().hidden;
  // No ring keeps more.
  first_ = std::max(first, length - std::min(length, kDraftContext));
  length_ = first_;
  while (length_ < length) {
    const ArenaScope scope(arena_);
    const size_t n = std::min(kAppendRows, length - length_);
    auto* context = arena_.Take<float>(n * h);
    for (size_t r = 0; r < n; ++r) {
      ReadContextFeature(state->Note(length_ + r), {context + r * h, h});
    }
    AppendContext(context, n);
  }
}

// The attention of one layer over context and block. The block's keys are stored from length() on,
// where the next context rows overwrite them.
void Drafter::Mix(size_t layer, size_t rows, const float* cos, const float* sin,
                  ops::Activations& x, float* out) {
  const ArenaScope scope(arena_);
  const DraftConfig& c = draft_.config();
  const ops::AttentionWeights& w = draft_.layer(layer).attention;
  const size_t d = c.head_dim;
  const size_t q_width = c.heads * d;
  const size_t kv_width = c.kv_heads * d;
  const size_t group = c.heads / c.kv_heads;
  auto* projected = arena_.Take<float>(rows * q_width);
  auto* q = arena_.Take<float>(rows * q_width);
  auto* attended = arena_.Take<float>(rows * q_width);
  auto* k = arena_.Take<float>(rows * kv_width);
  auto* v = arena_.Take<float>(rows * kv_width);
  ops::Linear(ctx_, x,
              {{&w.q, {projected, q_width}}, {&w.k, {k, kv_width}}, {&w.v, {v, kv_width}}});
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  ctx_.pool.ParallelFor(rows, ops::RowGrain(q_width, 4), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      for (size_t h = 0; h < c.heads; ++h) {
        float* head = q + ((h / group * rows + r) * group + h % group) * d;
        ctx_.kernels.rms_norm(projected + r * q_width + h * d, w.q_norm, c.norm_eps, d, head);
        ctx_.kernels.rope(head, cos + r * (d / 2), sin + r * (d / 2), d);
        for (size_t i = 0; i < d; ++i) head[i] *= scale;
      }
    }
  });
  StoreRows(layer, length_, rows, k, v, cos, sin);
  const DraftLayerConfig& l = c.layers[layer];
  const size_t kept = (rings_[layer].blocks - 1) * kernels::kKvBlock - kMaxBlock;
  ops::BlockAttention(ctx_, rings_[layer],
                      {.q = q,
                       .rows = rows,
                       .group = group,
                       .start = length_,
                       .first = std::max(first_, length_ - std::min(length_, kept)),
                       .window = l.window,
                       .causal = l.causal},
                      attended);
  ops::Activations result(attended, rows, q_width);
  ops::Linear(ctx_, result, {{&w.o, {out, c.hidden}}});
}

// Tokens and probabilities of out.size() slots, from the last layer's output x [slots, hidden].
void Drafter::Head(const float* x, std::span<TokenId> out, float* probability) {
  const ArenaScope scope(arena_);
  const DraftConfig& c = draft_.config();
  const size_t n = out.size();
  auto* normed = arena_.Take<float>(n * c.hidden);
  ops::RmsNorm(ctx_, x, n, c.hidden, draft_.final_norm(), c.norm_eps, normed);
  ops::Activations result(normed, n, c.hidden);
  auto* scores = arena_.Take<float>(n * c.vocab);
  ops::Linear(ctx_, result, {{&target_.weights().head(), {scores, c.vocab}}});
  ctx_.pool.ParallelFor(n, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      float* row = scores + r * c.vocab;
      out[r] = sample::Argmax({row, c.vocab});
      if (probability == nullptr) continue;
      ctx_.kernels.softmax(row, c.vocab);
      probability[r] = row[out[r]];
    }
  });
}

size_t Drafter::Draft(TokenId anchor, std::span<TokenId> out, float* probability,
                      const std::function<bool(size_t)>& more) {
  const ArenaScope scope(arena_);
  const DraftConfig& c = draft_.config();
  const size_t rows = out.size() + 1;
  const size_t h = c.hidden;
  MACH_CHECK(!out.empty() && rows <= max_block_);
  auto* cos = arena_.Take<float>(rows * inv_freq_.size());
  auto* sin = arena_.Take<float>(rows * inv_freq_.size());
  auto* x = arena_.Take<float>(rows * h);
  auto* normed = arena_.Take<float>(rows * h);
  auto* update = arena_.Take<float>(rows * h);
  Angles(length_, rows, cos, sin);
  const quant::TiledMatrix& embedding = target_.weights().embedding();
  quant::UnpackRow(embedding, static_cast<size_t>(anchor), {x, h});
  quant::UnpackRow(embedding, static_cast<size_t>(c.mask_token), {x + h, h});
  for (size_t r = 2; r < rows; ++r) std::copy_n(x + h, h, x + r * h);
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const DraftLayerWeights& w = draft_.layer(i);
    {
      const ArenaScope mixer(arena_);
      ops::RmsNorm(ctx_, x, rows, h, w.input_norm, c.norm_eps, normed);
      ops::Activations input(normed, rows, h);
      Mix(i, rows, cos, sin, input, update);
    }
    ops::Add(ctx_, x, update, rows, h);
    const ArenaScope ffn(arena_);
    ops::RmsNorm(ctx_, x, rows, h, w.ffn_norm, c.norm_eps, normed);
    ops::Activations input(normed, rows, h);
    ops::DenseFfn(ctx_, w.mlp, input, update);
    ops::Add(ctx_, x, update, rows, h);
  }
  // Slot 0 is the anchor's and predicts nothing.
  const size_t first = more ? std::min(out.size(), kFirstSlots) : out.size();
  Head(x + h, out.first(first), probability);
  if (first == out.size() || !more(first)) return first;
  Head(x + (1 + first) * h, out.subspan(first),
       probability == nullptr ? nullptr : probability + first);
  return out.size();
}

}  // namespace mach::spec
