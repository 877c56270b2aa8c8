#include "experts/bank.h"

#include "base/check.h"

namespace mach::experts {

// The slot table owns what is true of each slot; the bank owns what is true of all of them:
//
// * residents <= options_.slots and staged <= options_.staging_slots. Slots of both kinds are one
//   pool: an expert keeps its slot when it is promoted.
// * A slot becomes taken or resident here alone, and a resident leaves here alone, but for records
//   that could not be read. So `evictions` counts every resident that made room.
// * slot.hot == hot_.IsHot(slot.key).
// * The policy has a victim exactly if some slot is evictable. A bank that holds every expert has a
//   policy without victims: it is never full when a slot is claimed.

Bank::Bank(const Catalog& catalog, const BankOptions& options, BankCounters& counters)
    : catalog_(catalog),
      options_(options),
      slot_bytes_(catalog.slot_bytes),
      layer_share_(options.slots / catalog.MoeLayers()),
      holds_all_(options.slots >= catalog.RecordCount()),
      counters_(counters),
      policy_(holds_all_ ? MakeNoEviction()
                         : MakeEvictionPolicy(options.eviction, catalog.layers, catalog.experts,
                                              options.slots)),
      hot_(catalog.layers, catalog.experts, holds_all_ ? 0 : options.hot_per_layer),
      slots_(catalog, options.slots + options.staging_slots, *policy_, counters.resident) {
  if (!holds_all_) reuse_.emplace(catalog.keys(), catalog.RecordCount());
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
    if (const auto slot = slots_.Find(key)) slots_.SetHot(*slot, hot_.IsHot(key));
  }
}

void Bank::OnUse(ExpertKey key) {
  policy_->OnUse(key);
  hot_.OnUse(key);
  if (reuse_) reuse_->OnUse(key);
}

std::optional<uint32_t> Bank::Claim(ExpertKey key) {
  if (!MakeRoom()) return std::nullopt;
  return TakeResident(key);
}

std::optional<uint32_t> Bank::ClaimFree(ExpertKey key) {
  if (slots_.residents() == options_.slots) return std::nullopt;
  return TakeResident(key);
}

std::optional<uint32_t> Bank::ClaimShare(ExpertKey key) {
  if (slots_.ResidentIn(catalog_.LayerOf(key)) >= layer_share_) return std::nullopt;
  return ClaimFree(key);
}

std::optional<uint32_t> Bank::ClaimStaging(ExpertKey key) {
  if (slots_.staged() == options_.staging_slots) return std::nullopt;
  return slots_.Take(key, false, hot_.IsHot(key));
}

bool Bank::Promote(uint32_t slot) {
  if (!MakeRoom()) return false;
  slots_.Promote(slot);
  return true;
}

bool Bank::MakeRoom() {
  if (slots_.residents() < options_.slots) return true;
  const std::optional<ExpertKey> victim = policy_->Victim();
  if (!victim) return false;
  slots_.Evict(*slots_.Find(*victim));
  counters_.evictions.Add();
  return true;
}

void Bank::TEST_CheckConsistency() const {
  slots_.TEST_CheckConsistency();
  MACH_CHECK(slots_.residents() <= options_.slots && slots_.staged() <= options_.staging_slots);
  size_t evictable = 0;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Slot& s = slots_[slot];
    evictable += s.evictable ? 1 : 0;
    MACH_CHECK(s.state == SlotState::kFree || s.hot == hot_.IsHot(s.key));
  }
  MACH_CHECK((evictable != 0 && !holds_all_) == policy_->Victim().has_value());
}

}  // namespace mach::experts
