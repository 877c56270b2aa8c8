// Records the expert choices of forward passes.
#pragma once

#include "experts/trace.h"
#include "model/model.h"
#include "ops/ffn.h"

namespace mach::model {

// Give it to every pass. The trace must outlive the observer.
class TraceObserver final : public ForwardObserver {
 public:
  // Sets the trace's shape. All layers with experts have the same number, as in every known model;
  // top_k is the model's.
  TraceObserver(const ModelConfig& config, experts::Trace& trace) : recorder_(trace) {
    for (const LayerConfig& layer : config.layers) {
      if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) {
        ++trace.layers;
        trace.experts = std::max(trace.experts, moe->experts);
        trace.top_k = moe->top_k;
      }
    }
  }
  void OnHidden(size_t, const float*, size_t) override {}
  void OnExperts(size_t, const ExpertId* ids, size_t count, size_t top_k) override {
    recorder_.OnLayer({ids, count * top_k});
  }

 private:
  experts::TraceRecorder recorder_;
};

}  // namespace mach::model
