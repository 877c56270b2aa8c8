// What decoding takes of memory beside the target model, known from headers alone.
#pragma once

#include <optional>

#include "residency/plan.h"
#include "spec/draft_model.h"

namespace mach::spec {

struct DecodeNeeds {
  size_t scratch = 0;  // of the verifier
  size_t state = 0;    // the tape that a block is rolled back by
  size_t draft = 0;    // the drafter's weights and what it remembers
  size_t notes = 0;    // what it keeps with the KV blocks of the whole context
  size_t loading = 0;  // staging of its load, given back at the end

  size_t total() const { return scratch + state + draft + notes + loading; }
};

// notes: whether a prefix cache wants the drafter's.
DecodeNeeds MeasureDecode(const model::ModelConfig& target, const residency::PlanOptions& options,
                          const std::optional<DraftModel::Needs>& draft, bool notes);

}  // namespace mach::spec
