// Memory for experts from disk: equal slots, which expert gets one, and which one must leave.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/eviction.h"
#include "experts/hot_pins.h"
#include "experts/reuse_distances.h"
#include "experts/slot_table.h"

namespace mach::experts {

struct BankOptions {
  size_t slots = 0;          // experts that stay until evicted
  size_t staging_slots = 0;  // experts on their way through: prefill, prefetches, drafts
  Eviction eviction = Eviction::kLookahead;
  size_t hot_per_layer = 0;
};

// One pool of slots. An expert is `resident` (one of at most `slots`, governed by the policy) or
// `staged` (one of at most `staging_slots`, freed after its use). Used by one thread; the counters
// and reuse() are for all.
class Bank {
 public:
  // Reserves the slots under `experts`, the staging slots and what fills the last huge page under
  // `staging`. The catalog and the counters must outlive the bank.
  static Result<std::unique_ptr<Bank>> Create(const Catalog& catalog, const BankOptions& options,
                                              MemoryLedger& ledger, BankCounters& counters);

  std::span<std::byte> memory() { return memory_.bytes(); }  // of all slots, in order
  std::span<std::byte> Memory(uint32_t slot) {
    return memory_.bytes().subspan(slot * slot_bytes_, slot_bytes_);
  }
  SlotTable& slots() { return slots_; }
  const SlotTable& slots() const { return slots_; }

  // What the policy learns. OnUse is for experts of the layer visited last.
  void OnVisit(uint32_t layer);
  void OnUse(ExpertKey key);
  void OnPredict(ExpertKey key) { policy_->OnPredict(key); }

  // Of the uses that the policy learns from; null where the bank holds everything.
  const ReuseDistances* reuse() const { return reuse_ ? &*reuse_ : nullptr; }

  // A slot for an expert that has none, to be read into. Claim makes the expert resident, evicts
  // where the bank is full, and fails when nothing is evictable. The others never evict:
  // ClaimFree makes it resident, ClaimShare too while its layer has less than an equal share of the
  // bank, ClaimStaging stages it.
  std::optional<uint32_t> Claim(ExpertKey key);
  std::optional<uint32_t> ClaimFree(ExpertKey key);
  std::optional<uint32_t> ClaimShare(ExpertKey key);
  std::optional<uint32_t> ClaimStaging(ExpertKey key);
  // Makes a staged expert resident, evicting like Claim; gives whether it is now.
  bool Promote(uint32_t slot);

  // Aborts when the books do not agree: O(slots).
  void TEST_CheckConsistency() const;

 private:
  Bank(const Catalog& catalog, const BankOptions& options, BankCounters& counters);
  uint32_t TakeResident(ExpertKey key) { return slots_.Take(key, true, hot_.IsHot(key)); }
  bool MakeRoom();  // for one more resident

  const Catalog& catalog_;
  const BankOptions options_;
  const size_t slot_bytes_;
  const size_t layer_share_;  // slots of the bank for each layer with experts
  const bool holds_all_;      // of the catalog: nothing is ever evicted
  BankCounters& counters_;
  MemoryReservation experts_reservation_;
  MemoryReservation staging_reservation_;
  AlignedBuffer memory_;

  const std::unique_ptr<EvictionPolicy> policy_;
  HotPins hot_;
  std::optional<ReuseDistances> reuse_;
  SlotTable slots_;
};

}  // namespace mach::experts
