#include "experts/fetcher.h"

#include <algorithm>

namespace mach::experts {

// Each expert of the request that was not handed out is in exactly one place: demand that has not
// begun (queue_), or a wanted slot, which is being read, waits to be verified, or was verified and
// is the caller's to hand out. The slot table counts the wanted reads, so that a read which lands
// when its request was abandoned needs no record here: nothing wants it, and it lands kUnverified.

Fetcher::Fetcher(const Catalog& catalog, Bank& bank, RecordReader& reads, const DraftRows& drafts,
                 BankCounters& counters, const Clock& clock)
    : catalog_(catalog),
      bank_(bank),
      slots_(bank.slots()),
      reads_(reads),
      drafts_(drafts),
      counters_(counters),
      clock_(clock),
      queue_(catalog.experts) {
  landed_.reserve(slots_.size());
}

void Fetcher::SetRules(const PassRules& rules) {
  rules_ = &rules;
  queue_.SetLimits(rules.reads);
}

void Fetcher::Demand(ExpertKey key, uint32_t index) { queue_.AddDemand({key, index}); }

void Fetcher::DemandComplete() {
  queue_.HoldLast();
  missed_ = rules_->times_misses && !AllLanded();
  if (missed_) counters_.miss_bytes.Add(queue_.demand() * catalog_.slot_bytes);
}

void Fetcher::HandedOut() {
  if (missed_) counters_.miss_ns.Add(SinceBegin());
}

void Fetcher::Abandon() {
  slots_.UnwantAll();
  queue_.Clear();
  missed_ = false;
}

void Fetcher::PrefetchLayer(uint32_t layer) {
  for (uint32_t e = 0; e < catalog_.experts; ++e) {
    const ExpertKey key = catalog_.Key(LayerId(layer), ExpertId(e));
    if (catalog_.records[key].bytes != 0) queue_.AddPrefetch(key);
  }
}

void Fetcher::Pump() {
  while (const ReadQueue::Demand* demand = queue_.NextDemand(under_way())) {
    const bool certain = drafts_.FirstRow(demand->index) == 0;
    const auto slot = rules_->ClaimDemand(bank_, demand->key, certain);
    if (!slot) break;
    reads_.Start(*slot);
    slots_.Want(*slot, demand->index);
    queue_.DemandStarted();
  }
  while (const ExpertKey* key = queue_.NextPrefetch(under_way())) {
    if (!slots_.Find(*key)) {
      const auto slot = rules_->ClaimPrefetch(bank_, *key);
      if (!slot) break;
      reads_.Start(*slot);
      slots_.MarkPrefetch(*slot, *rules_->prefetch);
    }
    queue_.PrefetchTaken();
  }
  reads_.Flush();
}

Status Fetcher::Take(bool wait) {
  landed_.clear();
  if (reads_.in_flight() != 0) reads_.Take(wait && slots_.to_verify().empty(), landed_);
  std::optional<Error> failure;
  for (LandedRecord& record : landed_) {
    const bool wanted = slots_[record.slot].wanted();
    if (wanted) queue_.DemandLanded();
    if (record.status.ok()) {
      slots_.Landed(record.slot);
    } else {
      slots_.Discard(record.slot);
      if (wanted && !failure) failure = std::move(record.status).error();
    }
  }
  if (failure) return *std::move(failure);
  if (slots_.to_verify().empty()) return Ok();
  if (missed_ && AllLanded() && !landed_.empty()) counters_.miss_read_ns.Add(SinceBegin());
  Pump();  // so that the disk works while these are verified
  return Verify();
}

Status Fetcher::Verify() {
  const std::span<const uint32_t> all = slots_.to_verify();
  if (all.empty()) return Ok();
  const std::span<const uint32_t> part = all.first(std::min(all.size(), rules_->part));
  reads_.ComputeChecksums(part);
  std::optional<Error> failure;
  for (const uint32_t slot : part) {
    const Slot& s = slots_[slot];
    Status status = reads_.Verify(slot);
    if (status.ok()) {
      slots_.Verified(slot);
    } else if (s.state == SlotState::kUnverified) {
      // It was read before this request, which has a read of its own to fail.
      counters_.read_retries.Add();
      queue_.AddDemand({s.key, s.wanted_by});
      slots_.Discard(slot);
    } else if (reads_.ReadAgain(slot)) {
      slots_.ReadingAgain(slot);
    } else {
      slots_.Discard(slot);
      if (!failure) failure = std::move(status).error();
    }
  }
  slots_.RemoveToVerify(part.size());
  if (failure) return *std::move(failure);
  Pump();
  return Ok();
}

}  // namespace mach::experts
