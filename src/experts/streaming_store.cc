#include "experts/streaming_store.h"

#include <algorithm>

#include "base/check.h"
#include "io/async_reader.h"

namespace mach::experts {
namespace {

// Of the bank, that hot pins may take.
constexpr size_t kHotShare = 2;
// A chunk that needs so much of one layer will need about as much of the next.
constexpr double kReadAheadShare = 0.9;
// The last read of a layer begins when the first of the others lands, if those are this part of
// what may be in flight: a disk that reports a batch all at once leaves nothing to do meanwhile,
// and then a batch to verify and to compute. That takes longer than the pause of such a disk; one
// that reports each read still has enough to be busy with.
constexpr size_t kPartBeforeLast = 4;

}  // namespace

StreamingStore::StreamingStore(Catalog catalog, const StreamingOptions& options,
                               const StreamingPlan& plan, const Clock& clock)
    : catalog_(std::move(catalog)),
      options_(options),
      plan_(plan),
      clock_(clock),
      holds_all_(plan.bank_slots == catalog_.RecordCount()),
      layer_records_(catalog_.layers),
      next_layer_(catalog_.layers, kNone) {
  uint32_t next = kNone;
  for (size_t i = catalog_.layers; i > 0; --i) {
    const auto layer = static_cast<uint32_t>(i - 1);
    layer_records_[layer] = static_cast<uint32_t>(catalog_.LayerRecords(layer));
    next_layer_[layer] = next;
    if (layer_records_[layer] != 0) next = layer;
  }
  first_layer_ = next;
  missing_.reserve(catalog_.experts);
  ahead_.reserve(catalog_.experts);
  first_rows_.reserve(catalog_.experts);
  held_.reserve(plan.staging_slots);
  landed_.reserve(plan.bank_slots + plan.staging_slots);
}

Result<std::unique_ptr<StreamingStore>> StreamingStore::Create(
    Catalog catalog, const StreamingOptions& options, std::unique_ptr<io::AsyncReader> reader,
    MemoryLedger& ledger, const Clock& clock, ThreadPool* pool) {
  MACH_TRY(const StreamingPlan plan, PlanStreaming(catalog, options));
  std::unique_ptr<StreamingStore> made(
      new StreamingStore(std::move(catalog), options, plan, clock));
  const size_t hot = options.pin_hot ? plan.bank_slots / kHotShare / made->catalog_.MoeLayers() : 0;
  MACH_TRY(made->bank_, Bank::Create(made->catalog_,
                                     {.slots = plan.bank_slots,
                                      .staging_slots = plan.staging_slots,
                                      .eviction = options.eviction,
                                      .hot_per_layer = hot},
                                     ledger, made->counters_));
  made->slots_ = &made->bank_->slots();
  MACH_TRY(made->reads_,
           RecordReader::Create(made->catalog_, std::move(reader), made->bank_->memory(),
                                *made->slots_, made->counters_, pool));
  made->report_.emplace(made->catalog_, options, plan, made->counters_, made->bank_->reuse());
  return made;
}

StreamingStore::~StreamingStore() = default;

void StreamingStore::BeginPass(const ExpertPass& pass) {
  // What a pass that was cut off has left.
  Commit(0);
  Abandon();
  for (uint32_t layer = 0; layer < catalog_.layers && slots_->HasUnused(); ++layer) {
    slots_->DropUnused(layer);
  }

  cancel_ = pass.cancel;
  rows_ = pass.rows;
  transient_ = options_.transient_prefill && pass.rows >= kTransientRows && !holds_all_;
  draft_ = pass.draft && !transient_ && !holds_all_;
  if (draft_ && touched_.size() < rows_) touched_.resize(rows_);
  predicting_ = false;
  if (transient_ && rows_ >= full_rows_) {
    PlanReadAhead(first_layer_);  // while its attention computes
    Pump();
  }
  if (!holds_all_ && pass.rows < kTransientRows) {
    predicting_ = options_.prefetch == Prefetch::kOn ||
                  (options_.prefetch == Prefetch::kAuto && gate_.OnPass(clock_.NowNs(), pass.rows));
  }
}

void StreamingStore::Commit(size_t rows) {
  for (size_t row = 0; row < touched_.size(); ++row) {
    if (row < rows) LearnToken(touched_[row]);
    touched_[row].clear();
  }
  for (const Held& held : held_) {
    if (held.row < rows && !(*slots_)[held.slot].resident) bank_->Promote(held.slot);
    slots_->Unpin(held.slot);
  }
  held_.clear();
}

// As if a row had been decoded by itself: eviction reckons time in tokens.
void StreamingStore::LearnToken(std::span<const ExpertKey> used) {
  uint32_t layer = kNone;
  for (const ExpertKey key : used) {
    if (catalog_.LayerOf(key) != layer) {
      layer = catalog_.LayerOf(key);
      bank_->OnVisit(layer);
    }
    bank_->OnUse(key);
  }
}

void StreamingStore::Predict(LayerId layer, std::span<const ExpertId> ids) {
  for (const ExpertId id : ids) {
    const ExpertKey key = catalog_.Key(layer, id);
    bank_->OnPredict(key);
    if (!transient_) ahead_.push_back(key);
  }
  Pump();
}

Status StreamingStore::Acquire(const ExpertRequest& request, Acquisition& out) {
  const std::span<const ExpertId> ids = request.ids;
  Begin(out, ids.size());
  Abandon();
  current_ = &out;
  if (draft_) {
    MACH_CHECK(request.begins.size() == ids.size() + 1 &&
               request.begins.back() == request.rows.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      first_rows_.push_back(request.rows[request.begins[i]]);
    }
  }
  if (!holds_all_) asked_ns_ = clock_.NowNs();
  MACH_RETURN_IF_ERROR(TakeLanded(false, out));

  Counter& hits = transient_ ? counters_.transient_hits : counters_.hits;
  Counter& misses = transient_ ? counters_.transient_misses : counters_.misses;
  const uint32_t at = Index(request.layer);
  if (!transient_) bank_->OnVisit(at);
  const auto have = [&](uint32_t slot, uint32_t index) {
    hits.Add();
    if ((*slots_)[slot].state == SlotState::kVerified && !transient_) {
      Give(out, index, slot);
    } else {
      slots_->Want(slot, index);
    }
  };
  // What the bank has comes first, so that promoting a guess does not evict it.
  for (uint32_t i = 0; i < ids.size(); ++i) {
    const ExpertKey key = catalog_.Key(request.layer, ids[i]);
    MACH_CHECK(at < catalog_.layers && Index(ids[i]) < catalog_.experts &&
               catalog_.records[key].bytes != 0);
    if (!transient_) {
      if (RowOf(i) == 0) bank_->OnUse(key);
      if (draft_) {
        for (uint32_t j = request.begins[i]; j < request.begins[i + 1]; ++j) {
          if (request.rows[j] > 0) touched_[request.rows[j]].push_back(key);
        }
      }
    }
    const std::optional<uint32_t> slot = slots_->Find(key);
    if (slot && (*slots_)[*slot].resident && (*slots_)[*slot].settled()) {
      slots_->Use(*slot);
      have(*slot, i);
    } else {
      missing_.push_back({key, i});
    }
  }
  std::erase_if(missing_, [&](const Missing& missing) {
    const std::optional<uint32_t> slot = slots_->Find(missing.key);
    if (!slot) {
      misses.Add();
      return false;
    }
    slots_->Use(*slot);
    if (!transient_ && RowOf(missing.index) == 0 && !(*slots_)[*slot].resident) {
      bank_->Promote(*slot);
    }
    if ((*slots_)[*slot].settled()) {
      have(*slot, missing.index);
      return true;
    }
    misses.Add();
    counters_.merged.Add();
    slots_->Want(*slot, missing.index);
    return true;
  });
  hold_last_ =
      !transient_ && missing_.size() > 1 &&
      (missing_.size() - 1) * catalog_.slot_bytes >= options_.in_flight_bytes / kPartBeforeLast;
  missed_ = !transient_ && !AllRead();
  if (missed_) counters_.miss_bytes.Add(missing_.size() * catalog_.slot_bytes);
  slots_->DropUnused(at);
  if (transient_) NoteDemand(at, ids.size());
  Pump();
  MACH_RETURN_IF_ERROR(GiveArrived(out));
  if (out.ready().empty()) GiveLater(out);
  return Ok();
}

Status StreamingStore::Wait(Acquisition& out) {
  MACH_CHECK(&out == current_ && !out.complete());
  ReleaseReady(out);
  do {
    Pump();
    MACH_RETURN_IF_ERROR(TakeLanded(false, out));
    if (out.ready().empty()) GiveLater(out);
    if (!out.ready().empty()) break;
    if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed)) {
      return Fail({Code::kCancelled, "cancelled"}, out);
    }
    if (reads_->in_flight() == 0 && slots_->to_verify().empty()) {
      // Only another acquisition's pins can hold every slot.
      return Fail({Code::kBusy, "all " + std::to_string(slots_->size()) +
                                    " slots of the expert bank are in use; raise "
                                    "--expert-cache-gb"},
                  out);
    }
    const int64_t start = clock_.NowNs();
    Status status = TakeLanded(true, out);
    counters_.stall_ns.Add(static_cast<uint64_t>(clock_.NowNs() - start));
    MACH_RETURN_IF_ERROR(std::move(status));
  } while (out.ready().empty());
  Pump();  // so that the disk works while these compute
  return Ok();
}

void StreamingStore::Unpin(uint32_t slot) { slots_->Unpin(slot); }

void StreamingStore::Give(Acquisition& out, uint32_t index, uint32_t slot) {
  slots_->Pin(slot);
  if (draft_ && !(*slots_)[slot].resident) {
    slots_->Pin(slot);
    held_.push_back({slot, RowOf(index)});
  }
  HandOut(out, index, slot, bank_->Memory(slot));
}

std::optional<uint32_t> StreamingStore::ClaimFor(const Missing& missing) {
  if (transient_) return ClaimAhead(missing.key);
  if (draft_ && RowOf(missing.index) > 0) {
    // Displaces nothing as long as it may be rejected, where there is room.
    if (const auto slot = bank_->ClaimFree(missing.key)) return slot;
    if (const auto slot = bank_->ClaimStaging(missing.key)) return slot;
  }
  return bank_->Claim(missing.key);
}

// Never evicts.
std::optional<uint32_t> StreamingStore::ClaimAhead(ExpertKey key) {
  // A layer fills what is free of its share, so that a cold bank gets warm.
  if (const auto slot = bank_->ClaimShare(key)) return slot;
  return bank_->ClaimStaging(key);
}

std::optional<uint32_t> StreamingStore::StartRead(std::optional<uint32_t> slot) {
  if (slot) reads_->Start(*slot);
  return slot;
}

void StreamingStore::Pump() {
  const size_t window = transient_ ? reads_->depth() : plan_.window;
  while (next_missing_ < missing_.size() && slots_->wanted_reads() < window &&
         reads_->in_flight() < reads_->depth()) {
    if (hold_last_ && slots_->wanted_reads() != 0 && next_missing_ + 1 == missing_.size()) break;
    const Missing& missing = missing_[next_missing_];
    const auto slot = StartRead(ClaimFor(missing));
    if (!slot) break;
    slots_->Want(*slot, missing.index);
    ++next_missing_;
  }
  if (transient_ ? next_missing_ == missing_.size() : AllRead()) ReadAhead();
  reads_->Flush();
}

void StreamingStore::ReadAhead() {
  // The file of a large chunk's next layer is read for sure; guesses only where the disk is idle:
  // a disk may answer all that it has at once.
  const size_t most = transient_ ? reads_->depth() : std::min(plan_.window, reads_->depth());
  PrefetchCounters& counters = transient_ ? counters_.read_ahead : counters_.prefetch;
  for (; next_ahead_ < ahead_.size() && reads_->in_flight() < most; ++next_ahead_) {
    const ExpertKey key = ahead_[next_ahead_];
    if (slots_->Find(key)) continue;
    // A guess in the bank might be evicted before its layer comes; staging is its own.
    const auto slot = StartRead(transient_ ? ClaimAhead(key) : bank_->ClaimStaging(key));
    if (!slot) break;
    slots_->MarkPrefetch(*slot, counters);
  }
}

// Of a large chunk.
void StreamingStore::NoteDemand(uint32_t layer, size_t wanted) {
  if (static_cast<double>(wanted) < kReadAheadShare * layer_records_[layer]) {
    if (rows_ >= full_rows_) full_rows_ = rows_ + 1;
    return;
  }
  full_rows_ = std::min(full_rows_, rows_);
  if (next_layer_[layer] != kNone) PlanReadAhead(next_layer_[layer]);
}

void StreamingStore::PlanReadAhead(uint32_t layer) {
  for (uint32_t e = 0; e < catalog_.experts; ++e) {
    const ExpertKey key = catalog_.Key(LayerId(layer), ExpertId(e));
    if (catalog_.records[key].bytes != 0) ahead_.push_back(key);
  }
}

Status StreamingStore::TakeLanded(bool wait, Acquisition& out) {
  landed_.clear();
  if (reads_->in_flight() != 0) reads_->Take(wait && slots_->to_verify().empty(), landed_);
  std::optional<Error> failure;
  for (LandedRecord& record : landed_) {
    const bool wanted = (*slots_)[record.slot].wanted();
    if (wanted) hold_last_ = false;
    if (record.status.ok()) {
      slots_->Landed(record.slot);
    } else {
      slots_->Discard(record.slot);
      if (wanted && !failure) failure = std::move(record.status).error();
    }
  }
  if (failure) return Fail(*std::move(failure), out);
  if (slots_->to_verify().empty()) return Ok();
  if (missed_ && AllRead() && !landed_.empty()) {
    counters_.miss_read_ns.Add(static_cast<uint64_t>(clock_.NowNs() - asked_ns_));
  }
  Pump();  // so that the disk works while these are verified
  return GiveArrived(out);
}

Status StreamingStore::GiveArrived(Acquisition& out) {
  if (slots_->to_verify().empty()) return Ok();
  // Of a large chunk, a part: the slots of the last part are read into while this one computes.
  const size_t all = slots_->to_verify().size();
  const size_t count = transient_ ? std::min(all, plan_.window) : all;
  const std::span<const uint32_t> part = slots_->to_verify().first(count);
  reads_->ComputeChecksums(part);
  std::optional<Error> failure;
  for (const uint32_t slot : part) {
    const Slot s = (*slots_)[slot];
    Status status = reads_->Verify(slot);
    if (status.ok()) {
      slots_->Verified(slot);
      Give(out, s.wanted_by, slot);
    } else if (s.state == SlotState::kUnverified) {
      // It came ahead of need: what is wrong with it is no failure of this acquisition yet.
      counters_.read_retries.Add();
      missing_.push_back({s.key, s.wanted_by});
      slots_->Discard(slot);
    } else if (reads_->ReadAgain(slot)) {
      slots_->ReadingAgain(slot);
    } else {
      slots_->Discard(slot);
      if (!failure) failure = std::move(status).error();
    }
  }
  slots_->RemoveToVerify(count);
  slots_->UnwantVerified();
  if (failure) return Fail(*std::move(failure), out);
  Pump();
  if (missed_ && out.complete()) {
    counters_.miss_ns.Add(static_cast<uint64_t>(clock_.NowNs() - asked_ns_));
  }
  return Ok();
}

// What a large chunk has in the bank is computed while nothing else has landed.
void StreamingStore::GiveLater(Acquisition& out) {
  for (size_t n = 0; n < plan_.window; ++n) {
    const auto slot = slots_->TakeHit();
    if (!slot) break;
    Give(out, (*slots_)[*slot].wanted_by, *slot);
    slots_->Unwant(*slot);
  }
}

// Ends the acquisition; it holds no pin.
Status StreamingStore::Fail(Error error, Acquisition& out) {
  Abandon();
  out.Clear();
  return error;
}

void StreamingStore::Abandon() {
  slots_->UnwantAll();
  missing_.clear();
  next_missing_ = 0;
  ahead_.clear();
  next_ahead_ = 0;
  first_rows_.clear();
  current_ = nullptr;
  missed_ = false;
  hold_last_ = false;
}

void StreamingStore::TEST_CheckIdle() {
  Commit(0);
  Abandon();
  Acquisition none;
  while (reads_->in_flight() > 0) MACH_CHECK(TakeLanded(true, none).ok());
  bank_->TEST_CheckConsistency();
  MACH_CHECK(slots_->pinned() == 0);
}

}  // namespace mach::experts
