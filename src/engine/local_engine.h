// The engine of this machine: one thread runs requests one after the other.
#pragma once

#include <memory>

#include "engine/decoder.h"
#include "engine/engine.h"
#include "model/loaded_model.h"

namespace mach::engine {

struct LocalEngineOptions {
  std::string model_id;
  size_t max_queue = 64;  // requests that wait, besides the one that runs
  DecoderOptions decoder;
};

// Stop tokens and sampling defaults of a checkpoint's generation_config.json (and config.json).
Result<Info> DescribeModel(const model::LoadedModel& model, const std::string& model_id);

// Takes the model when it succeeds. REQUIRES: no owner of the drafter outlives the engine or, after
// a failure, the model: it holds a reservation of the model's ledger.
Result<std::unique_ptr<Engine>> MakeLocalEngine(std::unique_ptr<model::LoadedModel>&& model,
                                                const LocalEngineOptions& options);

}  // namespace mach::engine
