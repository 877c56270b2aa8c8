// Memory that decoding takes beside the target model, known from headers alone.
#pragma once

#include <optional>

#include "model/config.h"
#include "residency/plan.h"
#include "spec/draft_model.h"

namespace mach::spec {

// In bytes.
struct DecodeNeeds {
  size_t scratch = 0;   // the verifier
  size_t state = 0;     // the tape that rolls a block back
  size_t draft = 0;     // the drafter's weights, context and scratch
  size_t features = 0;  // context features in the KV blocks of the whole context
  size_t loading = 0;   // staging of the drafter's load, released at its end

  size_t total() const { return scratch + state + draft + features + loading; }
};

// keep_features: whether a prefix cache keeps the drafter's context features.
DecodeNeeds MeasureDecode(const model::ModelConfig& target, const residency::PlanOptions& options,
                          const std::optional<DraftModel::Needs>& draft, bool keep_features);

}  // namespace mach::spec
