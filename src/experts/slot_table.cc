#include "experts/slot_table.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace mach::experts {

// A slot goes round like this:
//
//           Take                Landed, wanted              Verified
//   kFree -------> kReading ---------------------> kArrived ---------> kVerified
//     ^              |  ^                            |  |                ^   |
//     |              |  +-------- ReadingAgain ------+  | UnwantAll      |   |
//     |              |                                  v                |   |
//     |              +--- Landed, unwanted ------> kUnverified ----------+   |
//     |              |                                  |      Verified      |
//     +--------------+----------------------------------+--------------------+
//       Discard, Evict, or staged and idle
//
// Each expert has at most one slot (slot_of_), each slot is free (free_) or an expert's. Invariants
// of a slot, which hold between calls:
//
// * Pins only on a settled slot (kUnverified, kVerified). A pinned slot is not freed.
// * A slot is a candidate of the policy exactly if it is resident, settled, not pinned and not hot.
//   So what is being read, waits to be verified or is in use never leaves.
// * A staged slot that is settled has a reason to be there: a pin, a want, or a prefetch that its
//   layer has not used yet. Without one it is freed at once.
// * A wanted slot is kReading (counted in wanted_reads_), kArrived or kUnverified (in to_verify_),
//   or kVerified (in verified_, or in hits_ where it was so before). kArrived is always wanted. The
//   want of a settled slot holds one pin.
// * Only a slot that no layer has requested since its read began has a prefetch: not one that is
//   wanted or pinned. It is in prefetched_.
//
// The bank alone takes slots, promotes and evicts; all else is the store's. The record reader
// writes `checksum` and `retried`.

SlotTable::SlotTable(const Catalog& catalog, size_t slots, EvictionPolicy& policy,
                     Counter& resident)
    : catalog_(catalog),
      policy_(policy),
      resident_counter_(resident),
      slots_(slots),
      slot_of_(catalog.keys(), kNone),
      resident_in_(catalog.layers, 0) {
  free_.reserve(slots);
  for (size_t i = slots; i > 0; --i) free_.push_back(static_cast<uint32_t>(i - 1));
  to_verify_.reserve(slots);
  verified_.reserve(slots);
  hits_.reserve(slots);
  prefetched_.reserve(slots);
}

uint32_t SlotTable::Take(ExpertKey key, bool resident, bool hot) {
  MACH_CHECK(slot_of_[key] == kNone && !free_.empty());
  const uint32_t slot = free_.back();
  free_.pop_back();
  slot_of_[key] = slot;
  Slot& s = slots_[slot];
  s = {.key = key, .state = SlotState::kReading, .hot = hot};
  if (resident) {
    MakeResident(s);
  } else {
    ++staged_;
  }
  return slot;
}

void SlotTable::Promote(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state != SlotState::kFree && !s.resident);
  --staged_;
  MakeResident(s);
  Settle(slot);
}

void SlotTable::Evict(uint32_t slot) {
  MACH_CHECK(slots_[slot].evictable);
  Free(slot);
}

void SlotTable::SetHot(uint32_t slot, bool hot) {
  slots_[slot].hot = hot;
  Settle(slot);
}

void SlotTable::Landed(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state == SlotState::kReading);
  if (s.wanted()) {
    --wanted_reads_;
    s.state = SlotState::kArrived;
    to_verify_.push_back(slot);
  } else {
    s.state = SlotState::kUnverified;
    Settle(slot);
  }
}

void SlotTable::Verified(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.wanted());
  const bool arrived = s.state == SlotState::kArrived;
  MACH_CHECK(arrived || s.state == SlotState::kUnverified);
  s.state = SlotState::kVerified;
  verified_.push_back(slot);
  if (!arrived) return;
  Settle(slot);  // a candidate for a moment: a policy may rank its layer anew when one is added
  Pin(slot);     // the want's
}

bool SlotTable::TakeRetry(uint32_t slot) {
  const bool first = !slots_[slot].retried;
  slots_[slot].retried = true;
  return first;
}

void SlotTable::ReadingAgain(uint32_t slot) {
  MACH_CHECK(slots_[slot].state == SlotState::kArrived);
  slots_[slot].state = SlotState::kReading;
  ++wanted_reads_;
}

void SlotTable::Discard(uint32_t slot) {
  Slot& s = slots_[slot];
  Waste(s);
  if (s.wanted()) {
    s.wanted_by = Slot::kNobody;
    if (s.state == SlotState::kReading) --wanted_reads_;
    if (s.settled()) Unpin(slot);  // the want's, which may be all that a staged slot has
  }
  if (s.state != SlotState::kFree) Free(slot);
}

void SlotTable::Want(uint32_t slot, uint32_t index) {
  Slot& s = slots_[slot];
  MACH_CHECK(!s.wanted());
  switch (s.state) {
    case SlotState::kReading:
      ++wanted_reads_;
      break;
    case SlotState::kUnverified:
      Pin(slot);
      to_verify_.push_back(slot);
      break;
    case SlotState::kVerified:
      Pin(slot);
      hits_.push_back(slot);
      break;
    case SlotState::kFree:
    case SlotState::kArrived:
      MACH_CHECK(false);
  }
  s.wanted_by = index;
}

void SlotTable::Unwant(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.wanted() && s.state == SlotState::kVerified);
  s.wanted_by = Slot::kNobody;
  Unpin(slot);
}

void SlotTable::UnwantAll() {
  for (const uint32_t slot : to_verify_) {
    Slot& s = slots_[slot];
    s.wanted_by = Slot::kNobody;
    if (s.state == SlotState::kArrived) {
      s.state = SlotState::kUnverified;
      Settle(slot);
    } else {
      Unpin(slot);
    }
  }
  to_verify_.clear();
  UnwantVerified();
  for (const uint32_t slot : hits_) Unwant(slot);
  hits_.clear();
  if (wanted_reads_ == 0) return;
  for (Slot& s : slots_) s.wanted_by = Slot::kNobody;
  wanted_reads_ = 0;
}

void SlotTable::RemoveToVerify(size_t count) {
  to_verify_.erase(to_verify_.begin(), to_verify_.begin() + static_cast<ptrdiff_t>(count));
}

void SlotTable::UnwantVerified() {
  for (const uint32_t slot : verified_) Unwant(slot);
  verified_.clear();
}

std::optional<uint32_t> SlotTable::TakeHit() {
  if (hits_.empty()) return std::nullopt;
  const uint32_t slot = hits_.back();
  hits_.pop_back();
  return slot;
}

void SlotTable::Pin(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.settled());
  if (s.pins++ != 0) return;
  ++pinned_;
  Settle(slot);
}

void SlotTable::Unpin(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.pins > 0);
  if (--s.pins != 0) return;
  --pinned_;
  Settle(slot);
}

void SlotTable::MarkPrefetch(uint32_t slot, PrefetchCounters& counters) {
  slots_[slot].prefetch = &counters;
  prefetched_.push_back(slot);
  counters.issued.Add();
}

void SlotTable::DropUnused(uint32_t layer) {
  std::erase_if(prefetched_, [&](uint32_t slot) {
    Slot& s = slots_[slot];
    if (s.prefetch == nullptr) return true;  // used
    if (catalog_.LayerOf(s.key) != layer) return false;
    Waste(s);
    Settle(slot);
    return true;
  });
}

void SlotTable::MakeResident(Slot& s) {
  s.resident = true;
  ++residents_;
  ++resident_in_[catalog_.LayerOf(s.key)];
  resident_counter_.Set(residents_);
}

void SlotTable::Waste(Slot& s) {
  if (s.prefetch == nullptr) return;
  s.prefetch->wasted.Add();
  s.prefetch = nullptr;
}

void SlotTable::Settle(uint32_t slot) {
  Slot& s = slots_[slot];
  const bool idle = s.settled() && s.pins == 0;
  if (!s.resident) {
    if (idle && !s.wanted() && s.prefetch == nullptr) Free(slot);
    return;
  }
  const bool evictable = idle && !s.hot;
  if (evictable == s.evictable) return;
  s.evictable = evictable;
  if (evictable) {
    policy_.Add(s.key);
  } else {
    policy_.Remove(s.key);
  }
}

void SlotTable::Free(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state != SlotState::kFree && s.pins == 0);
  if (s.evictable) policy_.Remove(s.key);
  slot_of_[s.key] = kNone;
  if (s.resident) {
    --residents_;
    --resident_in_[catalog_.LayerOf(s.key)];
    resident_counter_.Set(residents_);
  } else {
    --staged_;
  }
  s = Slot{};
  free_.push_back(slot);
}

void SlotTable::TEST_CheckConsistency() const {
  size_t residents = 0;
  size_t staged = 0;
  size_t pinned = 0;
  size_t wanted_reads = 0;
  const auto listed = [](const std::vector<uint32_t>& list, uint32_t slot) {
    return std::find(list.begin(), list.end(), slot) != list.end();
  };
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Slot& s = slots_[slot];
    if (s.state == SlotState::kFree) {
      MACH_CHECK(s.pins == 0 && !s.evictable && !s.wanted() && s.prefetch == nullptr);
      continue;
    }
    MACH_CHECK(slot_of_[s.key] == slot);
    MACH_CHECK(s.pins == 0 || s.settled());
    MACH_CHECK(s.evictable == (s.resident && s.settled() && s.pins == 0 && !s.hot));
    MACH_CHECK(s.resident || !s.settled() || s.pins != 0 || s.prefetch != nullptr);
    MACH_CHECK(s.state != SlotState::kArrived || s.wanted());
    MACH_CHECK(!s.wanted() || !s.settled() || s.pins != 0);
    if (s.wanted() && s.state != SlotState::kReading) {
      const bool verified = s.state == SlotState::kVerified;
      MACH_CHECK(listed(verified ? verified_ : to_verify_, slot) ||
                 (verified && listed(hits_, slot)));
    }
    if (s.prefetch != nullptr) {
      MACH_CHECK(!s.wanted() && s.pins == 0 && listed(prefetched_, slot));
    }
    ++(s.resident ? residents : staged);
    pinned += s.pins != 0 ? 1 : 0;
    wanted_reads += s.wanted() && s.state == SlotState::kReading ? 1 : 0;
  }
  MACH_CHECK(residents == residents_ && staged == staged_ && pinned == pinned_);
  MACH_CHECK(wanted_reads == wanted_reads_);
  MACH_CHECK(free_.size() == slots_.size() - residents - staged);
  size_t known = 0;
  for (const uint32_t slot : slot_of_) known += slot != kNone ? 1 : 0;
  MACH_CHECK(known == residents + staged);
}

}  // namespace mach::experts
