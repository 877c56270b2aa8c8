#include "engine/describe_stats.h"

#include <utility>

namespace mach::engine {

ExpertStats DescribeExperts(const experts::StreamingStore& store) {
  experts::BankStats bank = store.Stats();
  ExpertStats stats;
  stats.hits = bank.hits;
  stats.misses = bank.misses;
  stats.evictions = bank.evictions;
  stats.resident_experts = bank.resident;
  stats.bank_slots = bank.slots;
  stats.bank_bytes = bank.bank_bytes;
  stats.bytes_read = bank.bytes_read;
  stats.stall_ms = bank.stall_ms;
  stats.eviction_policy = experts::EvictionName(store.eviction());
  stats.prefetch_issued = bank.prefetch_issued;
  stats.prefetch_used = bank.prefetch_used;
  stats.prefetch_wasted = bank.prefetch_wasted;
  stats.memory_bytes = bank.memory_bytes;
  stats.uses = bank.uses;
  stats.first_uses = bank.first_uses;
  stats.sizes = std::move(bank.sizes);
  return stats;
}

SpeculationStats DescribeSpeculation(const spec::SpeculationModes& modes) {
  const spec::StatisticsSnapshot now = modes.statistics().Snapshot();
  SpeculationStats stats;
  if (modes.has_drafter()) {  // else nothing is drafted unless a request asks for it
    stats.decode_path = "specdec-v7";
    stats.adaptive_block_policy = modes.policy_name();
  }
  stats.drafted = now.drafted;
  stats.accepted = now.accepted;
  stats.recent_alpha = now.recent_alpha;
  stats.observed_cycles = now.observed_cycles;
  stats.low_cycles = now.low_cycles;
  return stats;
}

}  // namespace mach::engine
