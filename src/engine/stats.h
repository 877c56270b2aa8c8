// What an engine did: the snapshots of its parts, as the parts give them. Reading any of it waits
// for no generation.
#pragma once

#include <cstdint>
#include <optional>

#include "base/histogram.h"
#include "cache/prefix_counters.h"
#include "experts/counters.h"
#include "spec/statistics.h"

namespace mach::engine {

// One moment's values of RequestCounters.
struct RequestStats {
  uint64_t queued = 0, running = 0;  // now

  // Requests, since the start. accepted = queued + running + the six ends.
  uint64_t accepted = 0, rejected = 0;  // rejected: the queue was full
  uint64_t stopped = 0, length = 0, failed = 0;
  uint64_t cancelled_queued = 0, cancelled_prefill = 0, cancelled_decode = 0;

  // Tokens, since the start.
  uint64_t prompt_tokens = 0;  // of prompts that ran
  uint64_t cached_tokens = 0;  // of those, not computed again
  uint64_t output_tokens = 0;

  double prefill_tokens_per_second = 0;  // of the newest prompt
  double decode_tokens_per_second = 0;   // over the last tokens
  double mean_request_ms = 0;            // running time of the last requests
  double last_progress_ms = 0;           // age of the running request's last prefill step or token

  HistogramSnapshot queue_ms, prefill_ms, first_token_ms, token_ms, request_ms;
};

struct EngineStats {
  RequestStats requests;
  std::optional<experts::BankStats> bank;  // nothing: every expert is resident
  spec::StatisticsSnapshot speculation;
  std::optional<cache::PrefixCounters> prefix_cache;  // nothing: there is none
};

}  // namespace mach::engine
