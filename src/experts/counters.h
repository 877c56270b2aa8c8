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

// Fetched ahead of need. used + wasted <= issued; the rest is in flight or waits for its layer.
struct GuessCounters {
  Counter issued;
  Counter used;
  Counter wasted;
};

struct BankCounters {
  // Experts asked for by passes through the bank: in memory, or not yet. A merged read is a miss.
  Counter hits;
  Counter misses;
  Counter merged;  // misses whose read was under way already
  // The same for passes through the transient arena (large chunks of a prompt).
  Counter transient_hits;
  Counter transient_misses;

  Counter evictions;
  Counter resident;  // experts in the bank now, not a sum
  Counter bytes_read;
  Counter reads;
  Counter read_retries;   // reads begun again after an error or a wrong checksum
  Counter read_failures;  // that failed the second time too
  Counter stall_ns;       // the forward pass had nothing to do but wait for reads

  // Of layers of passes through the bank that missed: bytes they began to read (not what a guess
  // had begun), the time from asking for their experts to the arrival of the last, and to its being
  // verified and handed out.
  Counter miss_bytes;
  Counter miss_read_ns;
  Counter miss_ns;

  GuessCounters prefetch;    // by the next layers' routers
  GuessCounters read_ahead;  // the next layer's file, while a large chunk goes through
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
  // Uses that eviction learns from, and what other sizes would have had of them; nothing for a bank
  // that holds everything.
  uint64_t uses = 0;
  uint64_t first_uses = 0;
  std::vector<BankSize> sizes;
};

}  // namespace mach::experts
