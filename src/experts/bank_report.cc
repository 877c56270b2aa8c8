#include "experts/bank_report.h"

namespace mach::experts {

BankReport::BankReport(const Catalog& catalog, const StreamingOptions& options,
                       const StreamingPlan& plan, const BankCounters& counters,
                       const ReuseDistances* reuse)
    : plan_(plan), counters_(counters), reuse_(reuse) {
  if (reuse_ == nullptr) return;
  StreamingOptions asked = options;
  asked.staging_bytes = 0;
  for (size_t i = 0; i < ReuseDistances::kSizes; ++i) {
    const size_t slots = reuse_->Slots(i);
    asked.bank_bytes = slots * catalog.slot_bytes;
    const auto other = PlanStreaming(catalog, asked);
    // Below the floor there is no plan: such a bank cannot be requested.
    sizes_.push_back({.slots = slots,
                      .bank_bytes = asked.bank_bytes,
                      .memory_bytes = other ? other->memory_bytes() : 0});
  }
}

BankStats BankReport::Snapshot() const {
  const BankCounters& c = counters_;
  BankStats stats = {.slots = plan_.bank_slots,
                     .bank_bytes = plan_.bank_bytes,
                     .hits = c.hits.Get(),
                     .misses = c.misses.Get(),
                     .evictions = c.evictions.Get(),
                     .resident = c.resident.Get(),
                     .bytes_read = c.bytes_read.Get(),
                     .stall_ms = static_cast<double>(c.stall_ns.Get()) * 1e-6,
                     .read_retries = c.read_retries.Get(),
                     .prefetch_issued = c.prefetch.issued.Get(),
                     .prefetch_used = c.prefetch.used.Get(),
                     .prefetch_wasted = c.prefetch.wasted.Get(),
                     .memory_bytes = plan_.memory_bytes(),
                     .uses = 0,
                     .first_uses = 0,
                     .sizes = sizes_};
  if (reuse_ != nullptr) {
    stats.uses = reuse_->uses();
    stats.first_uses = reuse_->first_uses();
    for (size_t i = 0; i < stats.sizes.size(); ++i) stats.sizes[i].hits = reuse_->Hits(i);
  }
  return stats;
}

}  // namespace mach::experts
