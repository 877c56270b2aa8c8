#include "engine/describe_stats.h"

namespace mach::engine {

ExpertStats DescribeExperts(const experts::StreamingStore& store, bool direct) {
  const experts::BankStats bank = store.Stats();
  ExpertStats stats;
  stats.direct_pread = direct;
  if (direct) stats.direct_pread_mode = io::ReadModeName(store.read_mode());
  // Checked before the store was made. Only a sidecar has checksums.
  stats.sidecar_valid = store.catalog().checksums;
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
  return stats;
}

SpeculationStats DescribeSpeculation(const spec::Speculators& speculators) {
  const spec::StatisticsSnapshot now = speculators.statistics().Snapshot();
  SpeculationStats stats;
  if (speculators.has_drafter()) {  // else nothing is drafted unless a request asks for it
    stats.decode_path = "specdec-v7";
    stats.adaptive_block_policy = speculators.policy_name();
  }
  stats.drafted = now.drafted;
  stats.accepted = now.accepted;
  stats.recent_alpha = now.recent_alpha;
  stats.observed_cycles = now.observed_cycles;
  stats.low_cycles = now.low_cycles;
  return stats;
}

}  // namespace mach::engine
