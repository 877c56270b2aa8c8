// Brings records from disk into slots of the bank: requested ones first, prefetches when there is
// room for them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "experts/bank.h"
#include "experts/draft_rows.h"
#include "experts/pass_rules.h"
#include "experts/read_queue.h"
#include "experts/record_reader.h"

namespace mach::experts {

// Serves one acquisition at a time. Used by one thread.
class Fetcher {
 public:
  // What is referred to must outlive the fetcher.
  Fetcher(const Catalog& catalog, Bank& bank, RecordReader& reads, const DraftRows& drafts,
          BankCounters& counters, const Clock& clock);

  // Of the pass that begins, before its first request. The rules must outlive it.
  void SetRules(const PassRules& rules);

  // A layer's request: Begin, then Demand for each expert without a slot (one with a slot is wanted
  // in the table), then DemandComplete.
  void Begin(int64_t now_ns) { begin_ns_ = now_ns; }
  void Demand(ExpertKey key, uint32_t index);
  void DemandComplete();
  // Every expert of the request was handed out.
  void HandedOut();
  // Forgets the request and the prefetches that have not begun. Reads under way go on.
  void Abandon();

  void Prefetch(ExpertKey key) { queue_.AddPrefetch(key); }
  void PrefetchLayer(uint32_t layer);

  // Begins reads as far as slots and limits allow. To be called after whatever may let one begin:
  // a request, a prefetch, a slot that was unpinned.
  void Pump();

  // Nothing will come by itself: no read is under way, and no record waits to be verified.
  bool idle() const { return reads_.in_flight() == 0 && slots_.to_verify().empty(); }
  // Takes the records that have landed (with wait, at least one unless the fetcher is idle), and
  // verifies those that are wanted, at most a part as the rules say; they are the table's
  // verified() then. An error is the first failure of a wanted record.
  Status Take(bool wait);
  // The same for what had landed before.
  Status Verify();

 private:
  ReadQueue::UnderWay under_way() const { return {slots_.wanted_reads(), reads_.in_flight()}; }
  bool AllLanded() const { return slots_.wanted_reads() == 0 && queue_.all_demand_started(); }
  uint64_t SinceBegin() const { return static_cast<uint64_t>(clock_.NowNs() - begin_ns_); }

  const Catalog& catalog_;
  Bank& bank_;
  SlotTable& slots_;
  RecordReader& reads_;
  const DraftRows& drafts_;
  BankCounters& counters_;
  const Clock& clock_;

  const PassRules* rules_ = nullptr;
  ReadQueue queue_;
  std::vector<LandedRecord> landed_;  // scratch
  int64_t begin_ns_ = 0;              // of the request
  bool missed_ = false;               // it counts as a layer that missed
};

}  // namespace mach::experts
