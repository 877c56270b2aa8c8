// What the bank did, readable at any moment from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace mach::experts {

// Written by one thread, so that adding needs no locked instruction.
class Counter {
 public:
  void Add(uint64_t n = 1) { Set(Get() + n); }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Records read before a layer requested them. used + wasted <= issued; the rest is being read or
// waits for its layer.
struct PrefetchCounters {
  Counter issued;
  Counter used;
  Counter wasted;
};

// A pass "through the bank" decodes or verifies drafts; a "transient" one prefills through staging.
struct BankCounters {
  // Experts that passes through the bank requested: in memory, or not yet.
  Counter hits;
  Counter misses;
  Counter merged;  // misses whose read was under way already, of either kind of pass
  // The same for transient passes.
  Counter transient_hits;
  Counter transient_misses;

  Counter evictions;
  Counter resident;  // experts in the bank now, not a sum
  Counter bytes_read;
  Counter reads;
  Counter read_retries;   // reads begun again after an error or a wrong checksum
  Counter read_failures;  // records whose second read failed, too
  Counter stall_ns;       // the forward pass had nothing to do but wait for reads

  // Layers of passes through the bank that missed. The times mean nothing where the bank holds
  // every expert: what each layer takes at first is not timed there.
  Counter miss_bytes;  // bytes requested on demand, without those that a prefetch had begun to read
  Counter miss_read_ns;  // from Acquire to the arrival of the last record
  Counter miss_ns;       // from Acquire until the last record is verified and handed out

  PrefetchCounters prefetch;    // predicted by the routers
  PrefetchCounters read_ahead;  // the whole next layer of a transient pass
};

// What a bank of another size would have hit, evicting by recency.
struct BankSize {
  uint64_t slots = 0;
  uint64_t bank_bytes = 0;
  uint64_t memory_bytes = 0;  // with its staging
  uint64_t hits = 0;
};

// One moment's values.
struct BankStats {
  uint64_t slots = 0;
  uint64_t bank_bytes = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t evictions = 0;
  uint64_t resident = 0;
  uint64_t bytes_read = 0;
  double stall_ms = 0;
  uint64_t read_retries = 0;
  uint64_t prefetch_issued = 0;
  uint64_t prefetch_used = 0;
  uint64_t prefetch_wasted = 0;
  uint64_t memory_bytes = 0;  // bank and staging
  // Uses that eviction learns from, and what banks of other sizes would have hit of them; empty for
  // a bank that holds every expert.
  uint64_t uses = 0;
  uint64_t first_uses = 0;
  std::vector<BankSize> sizes;
};

}  // namespace mach::experts
