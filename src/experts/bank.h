// Memory for experts from disk: equal slots, who lies in them, and who must leave.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/eviction.h"
#include "experts/hot_pins.h"
#include "experts/reuse_distances.h"

namespace mach::experts {

struct BankOptions {
  size_t slots = 0;          // experts that stay until evicted
  size_t staging_slots = 0;  // experts on their way through: large chunks, guesses
  Eviction eviction = Eviction::kLookahead;
  size_t hot_per_layer = 0;
};

// One pool of slots. An expert is `resident` (one of at most `slots`, governed by the policy) or
// `staged` (one of at most `staging_slots`, dropped after its use); to promote a staged one moves
// no bytes. A slot is loading from its claim until Landed or Drop; what is loading or pinned never
// leaves. Used by one thread; the counters are for all.
class Bank {
 public:
  // Reserves the slots under `experts`, the staging slots and what fills the last huge page under
  // `staging`. The catalog and the counters must outlive the bank.
  static Result<std::unique_ptr<Bank>> Create(const Catalog& catalog, const BankOptions& options,
                                              MemoryLedger& ledger, BankCounters& counters);

  size_t slots() const { return options_.slots; }
  size_t staging_slots() const { return options_.staging_slots; }
  size_t total_slots() const { return slots_.size(); }
  std::span<std::byte> memory() { return memory_.bytes(); }
  std::span<std::byte> Memory(uint32_t slot) {
    return memory_.bytes().subspan(slot * slot_bytes_, slot_bytes_);
  }

  // What the policy learns. OnUse is for experts of the layer visited last.
  void OnVisit(uint32_t layer);
  void OnUse(ExpertKey key);
  void OnPredict(ExpertKey key) { policy_->OnPredict(key); }

  // Of the uses that the policy learns from; null where the bank holds everything. Any thread.
  const ReuseDistances* reuse() const { return reuse_ ? &*reuse_ : nullptr; }

  std::optional<uint32_t> Find(ExpertKey key) const {
    return slot_of_[key] == kNone ? std::nullopt : std::optional(slot_of_[key]);
  }
  ExpertKey key(uint32_t slot) const { return slots_[slot].key; }
  bool loading(uint32_t slot) const { return slots_[slot].state == State::kLoading; }
  bool resident(uint32_t slot) const { return slots_[slot].resident; }
  uint32_t pins(uint32_t slot) const { return slots_[slot].pins; }
  size_t pinned() const { return pinned_; }  // slots with pins
  size_t ResidentIn(uint32_t layer) const { return resident_in_[layer]; }

  // A slot for an expert that has none, loading. Claim evicts when the bank is full, and fails when
  // all is pinned, loading or hot; ClaimFree and ClaimStaging never evict.
  std::optional<uint32_t> Claim(ExpertKey key);
  std::optional<uint32_t> ClaimFree(ExpertKey key);
  std::optional<uint32_t> ClaimStaging(ExpertKey key);
  // Makes a staged expert resident, evicting like Claim; gives whether it is now.
  bool Promote(uint32_t slot);

  // The end of loading: the bytes are there, or will not come.
  void Landed(uint32_t slot);
  // REQUIRES: no pins.
  void Drop(uint32_t slot);

  // REQUIRES: not loading. The last Unpin of a staged expert drops it.
  void Pin(uint32_t slot);
  void Unpin(uint32_t slot);

  // Aborts when the books do not agree, for tests: O(slots).
  void TEST_CheckConsistency() const;

 private:
  enum class State : unsigned char { kFree, kLoading, kReady };
  struct Slot {
    ExpertKey key = 0;
    uint32_t pins = 0;
    State state = State::kFree;
    bool resident = false;
    bool candidate = false;  // for eviction: known to the policy
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  Bank(const Catalog& catalog, const BankOptions& options, BankCounters& counters);
  uint32_t Take(ExpertKey key, bool resident);
  bool MakeRoom();  // for one more resident
  void MakeResident(Slot& slot);
  void Reconsider(uint32_t slot);  // whether it is a candidate

  const Catalog& catalog_;
  const BankOptions options_;
  const size_t slot_bytes_;
  const bool holds_all_;  // of the catalog: nothing is ever evicted
  BankCounters& counters_;
  MemoryReservation experts_reservation_;
  MemoryReservation staging_reservation_;
  AlignedBuffer memory_;

  std::unique_ptr<EvictionPolicy> policy_;
  HotPins hot_;
  std::optional<ReuseDistances> reuse_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> slot_of_;      // by key
  std::vector<uint32_t> resident_in_;  // by layer
  size_t residents_ = 0;
  size_t staged_ = 0;
  size_t pinned_ = 0;
};

}  // namespace mach::experts
