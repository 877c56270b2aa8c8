// What fits under the memory ceiling, and what to say of what does not.
#pragma once

#include <functional>
#include <string>

#include "model/config.h"
#include "residency/plan.h"

namespace mach::residency {

// Bytes that the caller reserves beside the model (its decode loop, a drafter, requests) for a
// sequence and passes of this plan. Null: none.
using OtherNeeds = std::function<Result<size_t>(const PlanOptions&)>;

// A plan that takes more than the ceiling.
struct Shortfall {
  size_t least = 0;    // bytes that the plan takes at least
  size_t ceiling = 0;  // less than that
  size_t free = 0;     // of the machine's memory: the highest ceiling there can be
  size_t kv = 0;       // of `least`, for context_tokens
  size_t context_tokens = 0;
};

// What mends it, with values that work: "raise --wired-gb to at least 9.4, or lower --ctx-size to
// at most 4096". Never a ceiling beyond what is free.
std::string HowToFit(const Shortfall& shortfall);

// Whether all experts fit beside the rest. kNoMemory says what is missing and what mends it.
Status CheckAllResident(const model::ModelConfig& config, const MemoryNeeds& needs, size_t ceiling,
                        size_t free);

// A context that the model cannot have is kInvalidArgument. 0 is any.
Status CheckContext(const model::ModelConfig& config, size_t tokens);

// The context of a sequence when none is asked for: what the model has, up to what memory allows.
// Agents want a long one, but keys and values take memory from the bank of experts: beyond 32,768
// tokens they may take a quarter of the room (half where no experts stream), up to there half of
// it, and up to 8,192 all of it. A multiple of 1,024 where it is not all of the model's positions,
// and at least one. room: bytes of the ceiling that weights and experts leave, with the least bank
// where experts stream. options and other as for LongestContext.
Result<size_t> DefaultContext(const model::ModelConfig& config, const PlanOptions& options,
                              size_t room, bool streaming, const OtherNeeds& other);

// The longest context of at most the model's positions, in whole KV blocks or all positions, whose
// state, cache, scratch and `other` needs take no more than `bytes`; 0 when
// none does. options: of the load; its context is not looked at.
Result<size_t> LongestContext(const model::ModelConfig& config, const PlanOptions& options,
                              size_t bytes, const OtherNeeds& other);

}  // namespace mach::residency
