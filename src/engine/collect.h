// A request's answer as one value, for callers that wait for it.
#pragma once

#include <functional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/engine.h"

namespace mach::engine {

struct Answer {
  std::vector<TokenId> tokens;
  FinishReason reason = FinishReason::kStop;
  Timings timings;
};

struct CollectOptions {
  std::function<void(const TokenEvent&)> on_token;  // on the engine's thread; must return quickly
  std::function<bool()> cancelled;  // on the caller's: at once, then every 50 ms; true: cancel
};

// Submits and waits for the end. Fails as Engine::Submit does, or as the generation did.
Result<Answer> Collect(Engine& engine, Request request, const CollectOptions& options = {});

}  // namespace mach::engine
