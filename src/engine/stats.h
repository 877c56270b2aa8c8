// What an engine tells about itself. Reading any of it waits for no generation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "cache/prefix_counters.h"
#include "experts/counters.h"

namespace mach::engine {

// Of experts that are read from disk. All zeros where every expert is resident.
struct ExpertStats {
  bool stale = false;  // dates from before the step in flight
  uint64_t hits = 0, misses = 0, evictions = 0;
  uint64_t resident_experts = 0;
  uint64_t bank_slots = 0, bank_bytes = 0;
  uint64_t bytes_read = 0;
  double stall_ms = 0;  // time that computation waited for reads
  std::string eviction_policy = "none";
  uint64_t prefetch_issued = 0, prefetch_used = 0, prefetch_wasted = 0;
  // As in experts::BankStats.
  uint64_t memory_bytes = 0;
  uint64_t uses = 0, first_uses = 0;
  std::vector<experts::BankSize> sizes;
};

struct SpeculationStats {
  bool stale = false;
  std::string decode_path = "target-only";    // specdec-v7, target-only, ngram
  std::string adaptive_block_policy = "off";  // the policy's name while there is a drafter
  uint64_t drafted = 0, accepted = 0;         // tokens
  double recent_alpha = 0;                    // share of drafted tokens accepted, lately
  uint64_t observed_cycles = 0;
  uint64_t low_cycles = 0;  // cycles in which drafting did not pay
};

struct PrefixCacheStats {
  bool stale = false;
  bool enabled = false;
  cache::PrefixCounters counters;
};

struct EngineStats {
  uint64_t queued = 0, running = 0;  // now
  uint64_t max_queue = 0;

  // Requests, since the start. accepted = queued + running + the five ends.
  uint64_t accepted = 0, rejected = 0;  // rejected: the queue was full
  uint64_t stopped = 0, length = 0, failed = 0;
  uint64_t cancelled_queued = 0, cancelled_prefill = 0, cancelled_decode = 0;

  // Tokens, since the start.
  uint64_t prompt_tokens = 0;  // of prompts that began to run
  uint64_t cached_tokens = 0;  // of those, not computed again
  uint64_t output_tokens = 0;

  double prefill_tokens_per_second = 0;  // of the newest prompt
  double decode_tokens_per_second = 0;   // over the last tokens
  double mean_request_ms = 0;            // running time of the last requests
  double last_progress_ms = 0;           // age of the running request's last sign of life

  HistogramSnapshot queue_ms, prefill_ms, first_token_ms, token_ms, request_ms;

  ExpertStats experts;
  SpeculationStats speculation;
  PrefixCacheStats prefix_cache;
};

}  // namespace mach::engine
