// An engine's statistics as the stats endpoints give them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "json/value.h"
#include "server/codec.h"
#include "server/http_counters.h"

namespace mach::server {

// The members of GET /v1/stats that come from the engine.
json::Object StatsJson(const engine::EngineStats& stats);

// GET /v1/cache/stats. codec: shows where prompts parted; null: not.
// nonces_stripped: prompts that lost a line that differs in every request.
json::Object CacheStatsJson(const engine::EngineStats& stats, const Codec* codec,
                            uint64_t nonces_stripped);

// GET /mach/requests, without texts.
json::Array RequestsJson(const std::vector<engine::RequestInfo>& requests);

// GET /metrics.
struct MetricsInput {
  engine::EngineStats engine;
  const HttpCounters* http = nullptr;
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
