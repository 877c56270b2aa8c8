// What GET /metrics tells of a server.
#pragma once

#include <cstddef>
#include <string>

#include "engine/engine.h"
#include "server/http/http_counters.h"
#include "server/status/serving_facts.h"

namespace mach::server {

struct MetricsInput {
  engine::EngineStats engine;
  // Null, both of them: the model is not there yet.
  const engine::Info* info = nullptr;
  const ServingFacts* facts = nullptr;
  const HttpCounters* http = nullptr;  // null: without them
  size_t held = 0;                     // requests that wait for the model
  bool ready = false;
  double load_seconds = 0;
  std::string version;
};
std::string MetricsOf(const MetricsInput& input);

}  // namespace mach::server
