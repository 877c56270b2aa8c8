// An engine's statistics as the stats endpoints give them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/http/http_counters.h"
#include "server/status/serving_facts.h"

namespace mach::server {

// What a server tells of itself besides what its engine does.
struct ServingView {
  std::string_view state;               // "ready", "loading", "draining"
  const ServingFacts* facts = nullptr;  // null: the model is not there yet
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

// GET /metrics.
struct MetricsInput {
  engine::EngineStats engine;
  const HttpCounters* http = nullptr;
  const ServingFacts* facts = nullptr;  // null: the model is not there yet
  size_t held = 0;
  bool ready = false;
  double load_seconds = 0;
  std::string version;
  std::string model;
};
std::string MetricsOf(const MetricsInput& input);

// "specdec", "ngram" or "target-only", of a decode path.
std::string DecodeMode(const std::string& decode_path);

}  // namespace mach::server
