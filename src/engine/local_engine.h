// The engine of this machine: one thread runs requests one after the other.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/decoder.h"
#include "engine/engine.h"
#include "residency/loaded_model.h"

namespace mach::engine {

struct LocalEngineOptions {
  std::string model_id;
  std::vector<TokenId> stop_tokens;  // that the tokenizer names
  size_t max_queue = 64;             // requests that wait, besides the one that runs
  DecoderOptions decoder;
};

// What the model alone decides. Stop tokens (stop_tokens: the tokenizer's) and the sampling
// defaults come from generation_config.json.
Result<Info> DescribeModel(const residency::LoadedModel& model, const std::string& model_id,
                           std::span<const TokenId> stop_tokens);

// Takes the model when it succeeds. REQUIRES: no owner of the drafter outlives the engine or, after
// a failure, the model: it holds a reservation of the model's ledger. The clock outlives the
// engine.
Result<std::unique_ptr<Engine>> MakeLocalEngine(std::unique_ptr<residency::LoadedModel>&& model,
                                                const LocalEngineOptions& options,
                                                const Clock& clock);

}  // namespace mach::engine
