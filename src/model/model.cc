#include "model/model.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/tensor_source.h"
#include "kernels/table.h"
#include "model/footprint.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "quant/tiled.h"

namespace mach::model {
namespace {

constexpr std::string_view kBrokenWeights =
    " (NaN or infinity): weights are damaged or far too large; download the model again";

// part: of the layer.
Error NonFinite(size_t layer, std::string_view part) {
  return {Code::kNonFinite, "layer " + std::to_string(layer) + ": what its " + std::string(part) +
                                " computes is not finite" + std::string(kBrokenWeights)};
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::Create(const Model& model,
                                                     const kernels::KernelTable& kernels,
                                                     ThreadPool& pool,
                                                     experts::ExpertStore& experts,
                                                     ops::Compute compute, size_t rows,
                                                     size_t context, MemoryLedger& ledger) {
  const size_t bytes = ForwardScratchBytes(model.config(), rows, context, pool.threads());
  MACH_TRY(MemoryReservation reservation, ledger.Reserve(MemoryTag::kScratch, bytes));
  MACH_TRY(Arena arena, Arena::Create(bytes));
  std::unique_ptr<Workspace> made(
      new Workspace(kernels, pool, std::move(arena), experts, compute, rows));
  made->reservation_ = std::move(reservation);
  for (const LayerConfig& layer : model.config().layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) {
      ops::ReserveMoe(*moe, rows, made->ctx_, made->moe_);
    }
  }
  return made;
}

Result<std::unique_ptr<Model>> Model::Load(const ModelConfig& config,
                                           const io::TensorSource& source,
                                           const std::optional<ops::ExpertLayout>& experts,
                                           MemoryLedger& ledger, const LoadProgress& progress) {
  auto model = std::make_unique<Model>();
  model->config_ = config;
  model->inv_freq_ = ops::RopeFrequencies(config.rope_theta, config.rotary);
  if (experts) {
    model->expert_layout_ = *experts;
  } else {
    MACH_TRY(model->expert_layout_, FindExpertLayout(config, source));
  }
  MACH_TRY(model->weights_, Weights::Load(config, source, model->expert_layout_, ledger, progress));
  return model;
}

size_t Model::ParameterCount() const {
  size_t count = 0;
  const auto add = [&](std::initializer_list<const quant::TiledLayout*> layouts) {
    for (const quant::TiledLayout* l : layouts) count += l->rows * l->cols;
  };
  add({&weights_->embedding().layout});
  if (weights_->head().data != weights_->embedding().data) add({&weights_->head().layout});
  for (size_t i = 0; i < config_.layers.size(); ++i) {
    const LayerWeights& w = weights_->layer(i);
    // Of each pair of variants, the one that a layer lacks is empty.
    for (const auto* m :
         {&w.attention.q, &w.attention.k, &w.attention.v, &w.attention.o, &w.delta.qkv, &w.delta.z,
          &w.delta.a, &w.delta.b, &w.delta.out, &w.moe.router, &w.moe.shared.gate, &w.moe.shared.up,
          &w.moe.shared.down, &w.moe.shared_gate, &w.dense.gate, &w.dense.up, &w.dense.down}) {
      add({&m->layout});
    }
    if (const auto* moe = std::get_if<ops::MoeShape>(&config_.layers[i].ffn)) {
      count += moe->experts * 3 * moe->width * moe->hidden;
    }
  }
  return count;
}

cache::StateShape Model::StateShape(size_t max_tokens, bool kv_f16) const {
  return StateShapeOf(config_, max_tokens, kv_f16);
}

void Model::PredictExperts(Workspace& ws, size_t layer, const float* x, size_t rows) const {
  if (layer >= config_.layers.size() || rows > kMostPredictedRows) return;
  const auto* moe = std::get_if<ops::MoeShape>(&config_.layers[layer].ffn);
  if (moe == nullptr || !ws.experts_.WantsPredictions()) return;
  ops::Context& ctx = ws.ctx_;
  const ArenaScope scope(ctx.arena);
  const LayerWeights& w = weights_->layer(layer);
  auto* normed = ctx.arena.Take<float>(rows * moe->hidden);
  ops::RmsNorm(ctx, x, rows, moe->hidden, w.ffn_norm, config_.norm_eps, normed);
  ops::Activations input(normed, rows, moe->hidden);
  const ops::Routing routing{ctx.arena.Take<ExpertId>(rows * moe->top_k),
                             ctx.arena.Take<float>(rows * moe->top_k)};
  ops::Route(ctx, *moe, w.moe.router, input, routing);
  // Everybody's first choice before anybody's second.
  std::vector<ExpertId>& ids = ws.predicted_;
  ids.clear();
  for (size_t k = 0; k < moe->top_k; ++k) {
    for (size_t r = 0; r < rows; ++r) {
      const ExpertId id = routing.ids[r * moe->top_k + k];
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  ws.experts_.Predict(LayerId(static_cast<uint32_t>(layer)), ids);
}

Status Model::Forward(Workspace& ws, const ForwardRequest& request, cache::SequenceState& state,
                      float* hidden) const {
  ops::Context& ctx = ws.ctx_;
  const ArenaScope scope(ctx.arena);
  const size_t rows = request.tokens.size();
  const size_t width = config_.hidden;
  MACH_CHECK(rows > 0 && rows <= ws.rows_);
  MACH_RETURN_IF_ERROR(state.PrepareTokens(rows));
  ws.experts_.BeginPass({.rows = rows, .draft = request.draft, .cancel = request.cancel});

  auto* x = ctx.arena.Take<float>(rows * width);
  auto* normed = ctx.arena.Take<float>(rows * width);
  auto* update = ctx.arena.Take<float>(rows * width);
  const size_t half = config_.rotary / 2;
  auto* cos = ctx.arena.Take<float>(rows * half);
  auto* sin = ctx.arena.Take<float>(rows * half);
  for (size_t r = 0; r < rows; ++r) {
    const auto token = static_cast<size_t>(request.tokens[r]);
    MACH_CHECK(token < config_.vocab);
    quant::UnpackRow(weights_->embedding(), token, {x + r * width, width});
    ops::RopeAngles(inv_freq_, state.length() + r, cos + r * half, sin + r * half);
  }

  size_t kv_layer = 0;
  size_t recurrent_layer = 0;
  size_t tap = 0;
  for (size_t i = 0; i < config_.layers.size(); ++i) {
    if (request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed)) {
      return Error{Code::kCancelled, "cancelled"};
    }
    const ArenaScope layer_scope(ctx.arena);
    const LayerConfig& layer = config_.layers[i];
    const LayerWeights& w = weights_->layer(i);
    if (request.observer != nullptr) request.observer->OnHidden(i, x, rows);

    {
      const ArenaScope mixer_scope(ctx.arena);
      ops::RmsNorm(ctx, x, rows, width, w.input_norm, config_.norm_eps, normed);
      ops::Activations input(normed, rows, width);
      if (const auto* a = std::get_if<ops::AttentionShape>(&layer.mixer)) {
        ops::Attention(ctx, *a, w.attention, kv_layer++, {cos, sin}, input, state, update);
      } else {
        ops::DeltaNet(ctx, std::get<ops::DeltaNetShape>(layer.mixer), w.delta, state.marked(),
                      input, state.recurrent(recurrent_layer++), update);
      }
      ops::Add(ctx, x, update, rows, width);
      if (!ops::AllFinite(ctx, x, rows, width)) return NonFinite(i, "mixer");
    }

    ops::RmsNorm(ctx, x, rows, width, w.ffn_norm, config_.norm_eps, normed);
    ops::Activations input(normed, rows, width);
    if (const auto* m = std::get_if<ops::MoeShape>(&layer.ffn)) {
      const ops::Routing routing{ctx.arena.Take<ExpertId>(rows * m->top_k),
                                 ctx.arena.Take<float>(rows * m->top_k)};
      ops::Route(ctx, *m, w.moe.router, input, routing);
      if (request.observer != nullptr) request.observer->OnExperts(i, routing.ids, rows, m->top_k);
      MACH_RETURN_IF_ERROR(ops::AcquireExperts(*m, LayerId(static_cast<uint32_t>(i)), ws.experts_,
                                               ws.moe_, rows, routing));
      // While the disk reads. The residual stream changes little from layer to layer.
      PredictExperts(ws, i + 1, x, rows);
      MACH_RETURN_IF_ERROR(ops::Moe(ctx, *m, w.moe, ws.experts_, ws.moe_, input, routing, update));
    } else {
      ops::DenseFfn(ctx, w.dense, input, update);
    }
    ops::Add(ctx, x, update, rows, width);
    if (!ops::AllFinite(ctx, x, rows, width)) return NonFinite(i, "feed-forward part");

    if (tap < request.taps.size() && request.taps[tap] == i) {
      for (size_t r = 0; r < rows; ++r) {
        std::memcpy(request.tap_rows + (r * request.taps.size() + tap) * width, x + r * width,
                    width * sizeof(float));
      }
      ++tap;
    }
  }
  ops::RmsNorm(ctx, x, rows, width, weights_->final_norm(), config_.norm_eps, hidden);
  if (!ops::AllFinite(ctx, hidden, rows, width)) {
    return Error{Code::kNonFinite, "the final norm is not finite" + std::string(kBrokenWeights)};
  }
  if (request.observer != nullptr) request.observer->OnHidden(config_.layers.size(), hidden, rows);
  state.AdvanceTokens(rows);
  return Ok();
}

void Model::Settle(Workspace& ws, cache::SequenceState& state) const {
  size_t recurrent_layer = 0;
  for (const LayerConfig& layer : config_.layers) {
    const auto* delta = std::get_if<ops::DeltaNetShape>(&layer.mixer);
    if (delta != nullptr) ops::ReplayPending(ws.ctx_, *delta, state.recurrent(recurrent_layer++));
  }
}

Status Model::Logits(Workspace& ws, const float* hidden, size_t rows, float* logits) const {
  const ArenaScope scope(ws.ctx_.arena);
  ops::Activations input(hidden, rows, config_.hidden);
  ops::Linear(ws.ctx_, input, {{&weights_->head(), {logits, config_.vocab}}});
  if (ops::AllFinite(ws.ctx_, logits, rows, config_.vocab)) return Ok();
  return Error{Code::kNonFinite, "the logits are not finite" + std::string(kBrokenWeights)};
}

}  // namespace mach::model
