// The slots of the bank, one struct each: which expert one holds, how far its bytes have come, and
// who needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/eviction.h"

namespace mach::experts {

enum class SlotState : uint8_t {
  kFree,        // holds no expert
  kReading,     // a read of its record is under way
  kArrived,     // the record has landed for the acquisition that waits for it, to be verified
  kUnverified,  // it landed when nothing waited for it; whoever uses it first verifies it
  kVerified,    // the bytes have the record's checksum
};

struct Slot {
  static constexpr uint32_t kNobody = ~uint32_t{0};

  uint64_t checksum = 0;  // of the bytes that landed, when it was computed
  // Prefetched and not used yet: where its use will count. Else null.
  PrefetchCounters* prefetch = nullptr;
  ExpertKey key = 0;
  uint32_t pins = 0;
  // The index in the acquisition under way that waits for the slot, or kNobody.
  uint32_t wanted_by = kNobody;
  SlotState state = SlotState::kFree;
  bool resident : 1 = false;   // governed by the eviction policy; else staged: free after its use
  bool hot : 1 = false;        // never evicted
  bool evictable : 1 = false;  // a candidate of the policy
  bool retried : 1 = false;    // its record was read twice

  // The bytes are there and may be pinned; no read will change them.
  bool settled() const { return state >= SlotState::kUnverified; }
  bool wanted() const { return wanted_by != kNobody; }
};
static_assert(sizeof(Slot) == 32);  // two to a cache line: hits look at little else

// Checks every transition; what follows from one (a candidate for eviction, a staged slot that is
// free again) it does itself. Used by one thread. Allocates only in the constructor.
class SlotTable {
 public:
  // The catalog, the policy and the counter (of resident slots) must outlive the table.
  SlotTable(const Catalog& catalog, size_t slots, EvictionPolicy& policy, Counter& resident);

  size_t size() const { return slots_.size(); }
  const Slot& operator[](uint32_t slot) const { return slots_[slot]; }
  std::optional<uint32_t> Find(ExpertKey key) const {
    return slot_of_[key] == kNone ? std::nullopt : std::optional(slot_of_[key]);
  }
  size_t residents() const { return residents_; }
  size_t staged() const { return staged_; }
  size_t ResidentIn(uint32_t layer) const { return resident_in_[layer]; }
  size_t pinned() const { return pinned_; }  // slots with pins

  // Room, given and taken by the bank.

  // A free slot for an expert that has none; now kReading.
  uint32_t Take(ExpertKey key, bool resident, bool hot);
  // REQUIRES: staged. Moves no bytes.
  void Promote(uint32_t slot);
  // REQUIRES: evictable.
  void Evict(uint32_t slot);
  void SetHot(uint32_t slot, bool hot);

  // Bytes.

  // The read has ended well.
  void Landed(uint32_t slot);
  // REQUIRES: in to_verify().
  void Verified(uint32_t slot);
  // The slot's one retry of a read: false when it was taken already.
  bool TakeRetry(uint32_t slot);
  // REQUIRES: kArrived, and TakeRetry gave true. A read is under way again.
  void ReadingAgain(uint32_t slot);
  // The bytes did not come, or are wrong. REQUIRES: no pins but that of a want.
  void Discard(uint32_t slot);
  // From any thread, one at a time for each slot.
  void SetChecksum(uint32_t slot, uint64_t checksum) { slots_[slot].checksum = checksum; }

  // The acquisition under way.

  // The acquisition waits for the slot. Keeps it pinned from when it is settled until Unwant.
  // REQUIRES: !wanted.
  void Want(uint32_t slot, uint32_t index);
  // REQUIRES: wanted, kVerified; the caller has taken it from its list.
  void Unwant(uint32_t slot);
  // The acquisition has ended: nothing is wanted. Reads that are under way go on.
  void UnwantAll();
  size_t wanted_reads() const { return wanted_reads_; }  // wanted slots that are kReading
  // Wanted slots that have landed and are to be verified, oldest first. The caller removes them
  // from the front when they are verified, discarded or read again.
  std::span<const uint32_t> to_verify() const { return to_verify_; }
  void RemoveToVerify(size_t count);
  // Wanted slots that were verified while they were wanted, in that order.
  std::span<const uint32_t> verified() const { return verified_; }
  void UnwantVerified();
  // Takes a wanted slot that was verified already when it was wanted, the last one first.
  std::optional<uint32_t> TakeHit();

  // REQUIRES: settled.
  void Pin(uint32_t slot);
  // The last one frees a staged slot.
  void Unpin(uint32_t slot);

  // Prefetches.

  // The read under way was begun before its layer requested the expert.
  void MarkPrefetch(uint32_t slot, PrefetchCounters& counters);
  // A layer requests the slot's expert: if it was prefetched, that was of use.
  void Use(uint32_t slot) {
    PrefetchCounters*& prefetch = slots_[slot].prefetch;
    if (prefetch != nullptr) prefetch->used.Add();
    prefetch = nullptr;
  }
  // The prefetched slots of a layer that it has not requested were in vain.
  void DropUnused(uint32_t layer);
  bool HasUnused() const { return !prefetched_.empty(); }

  // Aborts when the books do not agree: O(slots).
  void TEST_CheckConsistency() const;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  void MakeResident(Slot& s);
  void Waste(Slot& s);
  // Draws the consequences of a change: see the invariants in the source.
  void Settle(uint32_t slot);
  void Free(uint32_t slot);

  const Catalog& catalog_;
  EvictionPolicy& policy_;
  Counter& resident_counter_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;         // the last one is taken first
  std::vector<uint32_t> slot_of_;      // by key
  std::vector<uint32_t> resident_in_;  // by layer
  size_t residents_ = 0;
  size_t staged_ = 0;
  size_t pinned_ = 0;
  size_t wanted_reads_ = 0;
  std::vector<uint32_t> to_verify_;
  std::vector<uint32_t> verified_;
  std::vector<uint32_t> hits_;
  std::vector<uint32_t> prefetched_;  // each slot with a prefetch, and some that were used since
};

}  // namespace mach::experts
