// An engine's statistics as the stats endpoints give them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/status/serving_facts.h"

namespace mach::server {

// What a server tells of itself besides what its engine does.
struct ServingView {
  std::string_view state;  // "ready", "loading", "draining"
  // Null, both of them: the model is not there yet.
  const engine::Info* engine = nullptr;
  const ServingFacts* facts = nullptr;
  ConfiguredServing configured = {};
};

// GET /v1/stats. What is not known yet is null.
json::Object StatsJson(const engine::EngineStats& stats, const ServingView& view);

// GET /v1/cache/stats. codec: shows where prompts parted; null: not.
// nonces_stripped: prompts that lost a line that differs in every request.
json::Object CacheStatsJson(const engine::EngineStats& stats, const ServingView& view,
                            const dialog::Codec* codec, uint64_t nonces_stripped);

// GET /mach/requests, without texts.
json::Array RequestsJson(const std::vector<engine::RequestInfo>& requests);

}  // namespace mach::server
