// What decoding takes of memory beside the target model, known from headers alone.
#pragma once

#include <optional>

#include "model/plan.h"
#include "spec/draft_model.h"

namespace mach::spec {

// Buffers of the verifier, the tape that a block is rolled back by, and with a drafter all of it,
// the staging of its load included; notes: and what it keeps with the KV blocks for a prefix cache.
size_t DecodeBytes(const model::ModelConfig& target, const model::PlanOptions& options,
                   const std::optional<DraftModel::Needs>& draft, bool notes = false);

}  // namespace mach::spec
