#include "model/plan.h"

#include <algorithm>

#include "base/arena.h"
#include "base/units.h"
#include "model/expert_streaming.h"
#include "model/weights.h"

namespace mach::model {
namespace {

constexpr size_t kMostReserve = size_t{1} << 30;

size_t PredictScratchBytes(const ops::MoeShape& moe, size_t rows) {
  rows = std::min(rows, kMostPredictedRows);
  return Arena::Footprint<float>(rows * moe.hidden) +
         ops::Activations::ScratchBytes(rows, moe.hidden) +
         Arena::Footprint<ExpertId>(rows * moe.top_k) + Arena::Footprint<float>(rows * moe.top_k) +
         Arena::Footprint<float>(rows * moe.experts);
}

}  // namespace

Result<MemoryNeeds> MeasureTensors(const ModelConfig& config, const io::TensorSource& source) {
  MemoryNeeds needs;
  MACH_TRY(needs.weights, Weights::MeasureBytes(config, source));
  MACH_TRY(needs.expert_layout, FindExpertLayout(config, source));
  for (const LayerConfig& layer : config.layers) {
    const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn);
    if (moe == nullptr) continue;
    needs.experts = std::max(needs.experts, moe->experts);
    needs.expert_count += moe->experts;
    ++needs.moe_layers;
  }
  needs.floor_slots = std::min(FloorSlots(config), needs.expert_count);
  if (needs.expert_count != 0) needs.expert_record = needs.expert_layout.record_bytes();
  return needs;
}

Result<MemoryNeeds> MeasureNeeds(const ModelConfig& config, const io::TensorSource& source,
                                 const PlanOptions& options) {
  MACH_TRY(MemoryNeeds needs, MeasureTensors(config, source));
  SetContext(config, options, needs);
  return needs;
}

void SetContext(const ModelConfig& config, const PlanOptions& options, MemoryNeeds& needs) {
  const ContextNeeds context = MeasureContext(config, options);
  needs.context_tokens = options.context_tokens;
  needs.state = context.state;
  needs.kv = context.kv;
  needs.scratch = context.scratch;
}

ContextNeeds MeasureContext(const ModelConfig& config, const PlanOptions& options) {
  ContextNeeds needs;
  const cache::StateShape state = StateShapeOf(config, options.context_tokens, options.kv_f16);
  needs.state = state.RecurrentBytes();
  const size_t blocks = (options.context_tokens + cache::kBlockTokens - 1) / cache::kBlockTokens;
  if (!state.kv.empty()) needs.kv = blocks * state.BlockBytes();
  needs.scratch =
      ForwardScratchBytes(config, options.max_rows, options.context_tokens, options.threads);
  return needs;
}

cache::StateShape StateShapeOf(const ModelConfig& config, size_t max_tokens, bool kv_f16) {
  cache::StateShape shape;
  shape.max_tokens = max_tokens;
  shape.kv_f16 = kv_f16;
  for (const LayerConfig& layer : config.layers) {
    if (const auto* a = std::get_if<ops::AttentionShape>(&layer.mixer)) {
      shape.kv.push_back({a->kv_heads, a->head_dim});
    } else {
      const auto& d = std::get<ops::DeltaNetShape>(layer.mixer);
      shape.recurrent.push_back(
          {d.value_heads, d.key_dim, d.value_dim, d.conv_channels(), d.conv_taps});
    }
  }
  return shape;
}

size_t ForwardScratchBytes(const ModelConfig& config, size_t rows, size_t context, size_t threads) {
  size_t most = 0;
  size_t top_k = 0;
  for (const LayerConfig& layer : config.layers) {
    if (const auto* a = std::get_if<ops::AttentionShape>(&layer.mixer)) {
      most = std::max(most, ops::AttentionScratchBytes(*a, rows, context, threads));
    } else {
      most = std::max(most, ops::DeltaNetScratchBytes(std::get<ops::DeltaNetShape>(layer.mixer),
                                                      rows, threads));
    }
    if (const auto* m = std::get_if<ops::MoeShape>(&layer.ffn)) {
      most = std::max({most, ops::MoeScratchBytes(*m, rows), PredictScratchBytes(*m, rows)});
      top_k = std::max(top_k, m->top_k);
    } else {
      most = std::max(most, ops::DenseFfnScratchBytes(config.hidden,
                                                      std::get<DenseShape>(layer.ffn).width, rows));
    }
  }
  const size_t row_buffers = 3 * Arena::Footprint<float>(rows * config.hidden);
  return RoundUp(most + row_buffers + ops::Activations::ScratchBytes(rows, config.hidden) +
                     2 * Arena::Footprint<float>(rows * config.rotary) +
                     2 * Arena::Footprint<float>(rows * top_k),
                 kPageBytes);
}

size_t DefaultPrefixBytes(const MemoryNeeds& needs, size_t experts, size_t ceiling) {
  constexpr size_t kShare = 8;
  const size_t taken = needs.resident() - needs.prefix + experts;
  return std::min((ceiling - std::min(ceiling, taken)) / kShare, kMostDefaultPrefix);
}

Result<size_t> ChooseCeiling(std::optional<size_t> asked, size_t free) {
  if (!asked) return std::min(kDefaultCeiling, free - std::min(free / 10, kMostReserve));
  if (*asked > free) {
    return Error{Code::kNoMemory, "--wired-gb asks for " + BytesText(*asked) + ", but " +
                                      BytesText(free) +
                                      " are free on this machine (and in its memory cgroup); "
                                      "lower it to at most " +
                                      GigabytesDown(free) + ", leave it out, or free some memory"};
  }
  return *asked;
}

}  // namespace mach::model
