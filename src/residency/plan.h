// What a checkpoint takes of memory, known from its headers alone; and how much may be taken.
#pragma once

#include <cstddef>
#include <optional>

#include "base/result.h"
#include "cache/state_shape.h"
#include "io/tensor_source.h"
#include "model/config.h"
#include "ops/ffn.h"

namespace mach::residency {

struct PlanOptions {
  size_t context_tokens = 0;  // of the one sequence
  size_t max_rows = 0;        // tokens of one forward pass
  size_t threads = 0;
  bool kv_f16 = true;
};

// All in bytes unless said otherwise.
struct MemoryNeeds {
  size_t weights = 0;  // everything but the routed experts
  size_t state = 0;    // recurrent layers
  size_t kv = 0;       // at the full context
  size_t scratch = 0;
  size_t decode = 0;          // of the decode loop and the drafter; the caller's to fill in
  size_t prefix = 0;          // of the prefix cache; likewise
  size_t context_tokens = 0;  // that state, kv and scratch are for

  ops::ExpertLayout expert_layout;
  size_t expert_record = 0;  // of one routed expert; 0: the model has none
  size_t expert_count = 0;   // of all layers
  size_t experts = 0;        // of one layer, at most
  size_t moe_layers = 0;
  size_t floor_slots = 0;  // one token's working set (FloorSlots)
  size_t least_bank = 0;   // of that many experts, with staging; set by UseExperts

  size_t resident() const { return weights + state + kv + scratch + decode + prefix; }
  size_t all_experts() const { return expert_count * expert_record; }
};

// The part that does not depend on the context. Checks every tensor that the config asks for by its
// header; reads none of them.
Result<MemoryNeeds> MeasureTensors(const model::ModelConfig& config,
                                   const io::TensorSource& source);

// With the part that does.
Result<MemoryNeeds> MeasureNeeds(const model::ModelConfig& config, const io::TensorSource& source,
                                 const PlanOptions& options);

// The part of it that depends on the context.
struct ContextNeeds {
  size_t state = 0;
  size_t kv = 0;
  size_t scratch = 0;
};
ContextNeeds MeasureContext(const model::ModelConfig& config, const PlanOptions& options);
void SetContext(const model::ModelConfig& config, const PlanOptions& options, MemoryNeeds& needs);

inline constexpr size_t kDefaultCeiling = size_t{9} << 30;

inline constexpr size_t kMostDefaultPrefix = size_t{1} << 30;

// What the prefix cache takes unless it is told: an eighth of what the ceiling leaves beside the
// needs and `experts` bytes of experts, at most 1 GiB. It never keeps a model from fitting.
size_t DefaultPrefixBytes(const MemoryNeeds& needs, size_t experts, size_t ceiling);

// The ceiling on all that the process keeps, of `free` bytes of memory. Without `asked` the
// default, or what is free less a reserve for the system where that is smaller. More than what is
// free is refused with kNoMemory and both numbers.
Result<size_t> ChooseCeiling(std::optional<size_t> asked, size_t free);

}  // namespace mach::residency
