#include "experts/bank.h"

#include "base/check.h"

namespace mach::experts {

Bank::Bank(const Catalog& catalog, const BankOptions& options, BankCounters& counters)
    : catalog_(catalog),
      options_(options),
      slot_bytes_(catalog.slot_bytes),
      holds_all_(options.slots >= catalog.RecordCount()),
      counters_(counters),
      policy_(holds_all_ ? MakeNoEviction()
                         : MakeEvictionPolicy(options.eviction, catalog.layers, catalog.experts,
                                              options.slots)),
      hot_(catalog.layers, catalog.experts, holds_all_ ? 0 : options.hot_per_layer),
      slots_(options.slots + options.staging_slots),
      slot_of_(catalog.keys(), kNone),
      resident_in_(catalog.layers, 0) {
  if (!holds_all_) reuse_.emplace(catalog.keys(), catalog.RecordCount());
  free_.reserve(slots_.size());
  for (size_t i = slots_.size(); i > 0; --i) free_.push_back(static_cast<uint32_t>(i - 1));
}

Result<std::unique_ptr<Bank>> Bank::Create(const Catalog& catalog, const BankOptions& options,
                                           MemoryLedger& ledger, BankCounters& counters) {
  MACH_CHECK(options.slots > 0);
  std::unique_ptr<Bank> made(new Bank(catalog, options, counters));
  const size_t record = catalog.slot_bytes;
  MACH_TRY(made->experts_reservation_, ledger.Reserve(MemoryTag::kExperts, options.slots * record));
  // A read into small pages takes a disk longer (a segment a page), and slots of bank and staging
  // change places: the last ones must not lie in small pages either.
  const size_t memory = WholeHugePages(made->slots_.size() * record);
  MACH_TRY(made->staging_reservation_,
           ledger.Reserve(MemoryTag::kStaging, memory - options.slots * record));
  MACH_TRY(made->memory_, AlignedBuffer::Allocate(memory));
  return made;
}

void Bank::OnVisit(uint32_t layer) {
  policy_->OnVisit(layer);
  for (const ExpertKey key : hot_.OnVisit(layer)) {
    if (slot_of_[key] != kNone) Reconsider(slot_of_[key]);
  }
}

void Bank::OnUse(ExpertKey key) {
  policy_->OnUse(key);
  hot_.OnUse(key);
  if (reuse_) reuse_->OnUse(key);
}

std::optional<uint32_t> Bank::Claim(ExpertKey key) {
  if (!MakeRoom()) return std::nullopt;
  return Take(key, true);
}

std::optional<uint32_t> Bank::ClaimFree(ExpertKey key) {
  if (residents_ == options_.slots) return std::nullopt;
  return Take(key, true);
}

std::optional<uint32_t> Bank::ClaimStaging(ExpertKey key) {
  if (staged_ == options_.staging_slots) return std::nullopt;
  return Take(key, false);
}

bool Bank::Promote(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state != State::kFree && !s.resident);
  if (!MakeRoom()) return false;
  --staged_;
  MakeResident(s);
  Reconsider(slot);
  return true;
}

void Bank::Landed(uint32_t slot) {
  MACH_CHECK(slots_[slot].state == State::kLoading);
  slots_[slot].state = State::kReady;
  Reconsider(slot);
}

void Bank::Drop(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state != State::kFree && s.pins == 0);
  if (s.candidate) policy_->Remove(s.key);
  slot_of_[s.key] = kNone;
  if (s.resident) {
    --residents_;
    --resident_in_[catalog_.LayerOf(s.key)];
    counters_.resident.Set(residents_);
  } else {
    --staged_;
  }
  s = Slot{};
  free_.push_back(slot);
}

void Bank::Pin(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.state == State::kReady);
  if (s.pins++ == 0) ++pinned_;
  Reconsider(slot);
}

void Bank::Unpin(uint32_t slot) {
  Slot& s = slots_[slot];
  MACH_CHECK(s.pins > 0);
  if (--s.pins != 0) return;
  --pinned_;
  if (s.resident) {
    Reconsider(slot);
  } else {
    Drop(slot);
  }
}

uint32_t Bank::Take(ExpertKey key, bool resident) {
  MACH_CHECK(slot_of_[key] == kNone && !free_.empty());
  const uint32_t slot = free_.back();
  free_.pop_back();
  slot_of_[key] = slot;
  Slot& s = slots_[slot];
  s = {.key = key, .state = State::kLoading};
  if (resident) {
    MakeResident(s);
  } else {
    ++staged_;
  }
  return slot;
}

bool Bank::MakeRoom() {
  if (residents_ < options_.slots) return true;
  const std::optional<ExpertKey> victim = policy_->Victim();
  if (!victim) return false;
  Drop(slot_of_[*victim]);
  counters_.evictions.Add();
  return true;
}

void Bank::MakeResident(Slot& slot) {
  slot.resident = true;
  ++residents_;
  ++resident_in_[catalog_.LayerOf(slot.key)];
  counters_.resident.Set(residents_);
}

void Bank::Reconsider(uint32_t slot) {
  Slot& s = slots_[slot];
  const bool candidate =
      s.resident && s.state == State::kReady && s.pins == 0 && !hot_.IsHot(s.key);
  if (candidate == s.candidate) return;
  s.candidate = candidate;
  if (candidate) {
    policy_->Add(s.key);
  } else {
    policy_->Remove(s.key);
  }
}

void Bank::TEST_CheckConsistency() const {
  size_t residents = 0;
  size_t staged = 0;
  size_t pinned = 0;
  size_t candidates = 0;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Slot& s = slots_[slot];
    if (s.state == State::kFree) {
      MACH_CHECK(s.pins == 0 && !s.candidate);
      continue;
    }
    MACH_CHECK(slot_of_[s.key] == slot);
    MACH_CHECK(s.pins == 0 || s.state == State::kReady);
    ++(s.resident ? residents : staged);
    pinned += s.pins != 0 ? 1 : 0;
    candidates += s.candidate ? 1 : 0;
  }
  MACH_CHECK(residents == residents_ && staged == staged_ && pinned == pinned_);
  MACH_CHECK(residents <= options_.slots && staged <= options_.staging_slots);
  MACH_CHECK(free_.size() == slots_.size() - residents - staged);
  MACH_CHECK((candidates != 0 && !holds_all_) == policy_->Victim().has_value());
  size_t known = 0;
  for (const uint32_t slot : slot_of_) known += slot != kNone ? 1 : 0;
  MACH_CHECK(known == residents + staged);
}

}  // namespace mach::experts
