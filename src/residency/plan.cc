#include "residency/plan.h"

#include <algorithm>

#include "base/units.h"
#include "model/footprint.h"
#include "model/weights.h"
#include "ops/ffn.h"
#include "residency/streaming_setup.h"

namespace mach::residency {
namespace {

constexpr size_t kMostReserve = size_t{1} << 30;

}  // namespace

Result<MemoryNeeds> MeasureTensors(const model::ModelConfig& config,
                                   const io::TensorSource& source) {
  MemoryNeeds needs;
  MACH_TRY(needs.weights, model::Weights::MeasureBytes(config, source));
  MACH_TRY(needs.expert_layout, model::FindExpertLayout(config, source));
  for (const model::LayerConfig& layer : config.layers) {
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

Result<MemoryNeeds> MeasureNeeds(const model::ModelConfig& config, const io::TensorSource& source,
                                 const PlanOptions& options) {
  MACH_TRY(MemoryNeeds needs, MeasureTensors(config, source));
  SetContext(config, options, needs);
  return needs;
}

void SetContext(const model::ModelConfig& config, const PlanOptions& options, MemoryNeeds& needs) {
  const ContextNeeds context = MeasureContext(config, options);
  needs.context_tokens = options.context_tokens;
  needs.state = context.state;
  needs.kv = context.kv;
  needs.scratch = context.scratch;
}

ContextNeeds MeasureContext(const model::ModelConfig& config, const PlanOptions& options) {
  ContextNeeds needs;
  const cache::StateShape state =
      model::StateShapeOf(config, options.context_tokens, options.kv_f16);
  needs.state = state.RecurrentBytes();
  const size_t blocks = (options.context_tokens + cache::kBlockTokens - 1) / cache::kBlockTokens;
  if (!state.kv.empty()) needs.kv = blocks * state.BlockBytes();
  needs.scratch =
      model::ForwardScratchBytes(config, options.max_rows, options.context_tokens, options.threads);
  return needs;
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

}  // namespace mach::residency
