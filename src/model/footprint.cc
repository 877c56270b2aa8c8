#include "model/footprint.h"

#include <algorithm>
#include <variant>

#include "base/arena.h"
#include "base/units.h"
#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"
#include "ops/linear.h"

namespace mach::model {
namespace {

size_t PredictScratchBytes(const ops::MoeShape& moe, size_t rows) {
  rows = std::min(rows, kMostPredictedRows);
  return Arena::Footprint<float>(rows * moe.hidden) +
         ops::Activations::ScratchBytes(rows, moe.hidden) +
         Arena::Footprint<ExpertId>(rows * moe.top_k) + Arena::Footprint<float>(rows * moe.top_k) +
         Arena::Footprint<float>(rows * moe.experts);
}

}  // namespace

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

}  // namespace mach::model
