#include "experts/streaming_store.h"

#include <algorithm>

#include "base/check.h"

namespace mach::experts {
namespace {

// Of the bank, that hot pins may take.
constexpr size_t kHotShare = 2;
// A chunk that needs so much of one layer will need about as much of the next.
constexpr double kReadAheadShare = 0.9;

}  // namespace

StreamingStore::StreamingStore(Catalog catalog, const StreamingOptions& options,
                               const StreamingPlan& plan, const Clock& clock)
    : catalog_(std::move(catalog)),
      options_(options),
      plan_(plan),
      clock_(clock),
      holds_all_(plan.bank_slots == catalog_.RecordCount()),
      layer_records_(catalog_.layers),
      next_layer_(catalog_.layers, kNone),
      layer_share_(plan.bank_slots / catalog_.MoeLayers()),
      want_(plan.bank_slots + plan.staging_slots, kNone),
      ahead_of_(want_.size(), nullptr) {
  uint32_t next = kNone;
  for (size_t i = catalog_.layers; i > 0; --i) {
    const auto layer = static_cast<uint32_t>(i - 1);
    layer_records_[layer] = static_cast<uint32_t>(catalog_.LayerRecords(layer));
    next_layer_[layer] = next;
    if (layer_records_[layer] != 0) next = layer;
  }
  missing_.reserve(catalog_.experts);
  ahead_.reserve(catalog_.experts);
  predicted_.reserve(catalog_.experts);
  ahead_slots_.reserve(want_.size());
  landed_.reserve(want_.size());
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
  MACH_TRY(made->reads_,
           RecordReader::Create(made->catalog_, std::move(reader), made->bank_->memory(),
                                made->bank_->total_slots(), made->counters_, pool));
  return made;
}

StreamingStore::~StreamingStore() = default;

BankStats StreamingStore::Stats() const {
  const BankCounters& c = counters_;
  return {.slots = plan_.bank_slots,
          .bank_bytes = plan_.bank_bytes,
          .hits = c.hits.Get(),
          .misses = c.misses.Get(),
          .evictions = c.evictions.Get(),
          .resident = c.resident.Get(),
          .bytes_read = c.bytes_read.Get(),
          .stall_ms = static_cast<double>(c.stall_ns.Get()) * 1e-6,
          .read_retries = c.read_retries.Get(),
          .prefetch_issued = c.prefetch.issued.Get(),
          .prefetch_used = c.prefetch.used.Get(),
          .prefetch_wasted = c.prefetch.wasted.Get()};
}

void StreamingStore::BeginPass(size_t rows) {
  transient_ = options_.transient_prefill && rows >= kTransientRows && !holds_all_;
  predicting_ = false;
  if (!holds_all_ && rows < kTransientRows) {
    predicting_ = options_.prefetch == Prefetch::kOn ||
                  (options_.prefetch == Prefetch::kAuto && gate_.OnPass(clock_.NowNs(), rows));
  }
  // What a pass that was cut off has left.
  Abandon();
  predicted_.clear();
  for (uint32_t layer = 0; layer < catalog_.layers && !ahead_slots_.empty(); ++layer) {
    DropUnused(layer);
  }
}

void StreamingStore::Predict(LayerId layer, std::span<const ExpertId> ids) {
  for (const ExpertId id : ids) {
    const ExpertKey key = catalog_.Key(layer, id);
    bank_->OnPredict(key);
    predicted_.push_back(key);
  }
}

Status StreamingStore::Acquire(LayerId layer, std::span<const ExpertId> ids, Acquisition& out) {
  Begin(out, ids.size());
  Abandon();
  current_ = &out;
  MACH_RETURN_IF_ERROR(TakeLanded(false, out));

  Counter& hits = transient_ ? counters_.transient_hits : counters_.hits;
  Counter& misses = transient_ ? counters_.transient_misses : counters_.misses;
  const uint32_t at = Index(layer);
  if (!transient_) bank_->OnVisit(at);
  // What the bank has is pinned first, so that promoting a guess does not evict it.
  for (uint32_t i = 0; i < ids.size(); ++i) {
    const ExpertKey key = catalog_.Key(layer, ids[i]);
    MACH_CHECK(at < catalog_.layers && Index(ids[i]) < catalog_.experts &&
               catalog_.records[key].bytes != 0);
    if (!transient_) bank_->OnUse(key);
    const std::optional<uint32_t> slot = bank_->Find(key);
    if (slot && bank_->resident(*slot) && !bank_->loading(*slot)) {
      Used(*slot);
      hits.Add();
      Give(out, i, *slot);
    } else {
      missing_.push_back({key, i});
    }
  }
  std::erase_if(missing_, [&](const Missing& missing) {
    const std::optional<uint32_t> slot = bank_->Find(missing.key);
    if (!slot) {
      misses.Add();
      return false;
    }
    Used(*slot);
    if (!transient_ && !bank_->resident(*slot)) bank_->Promote(*slot);
    if (!bank_->loading(*slot)) {
      hits.Add();
      Give(out, missing.index, *slot);
      return true;
    }
    misses.Add();
    counters_.merged.Add();
    want_[*slot] = missing.index;
    ++waiting_;
    return true;
  });
  DropUnused(at);
  PlanReadAhead(at, ids.size());
  Pump();
  return Ok();
}

Status StreamingStore::Wait(Acquisition& out) {
  MACH_CHECK(&out == current_ && !out.complete());
  ReleaseReady(out);
  do {
    Pump();
    MACH_RETURN_IF_ERROR(TakeLanded(false, out));
    if (!out.ready().empty()) break;
    if (reads_->in_flight() == 0) {
      // Only another acquisition's pins can hold every slot.
      Abandon();
      out.Clear();
      return Error{Code::kBusy, "all " + std::to_string(bank_->total_slots()) +
                                    " slots of the expert bank are in use; raise "
                                    "--expert-cache-gb"};
    }
    const int64_t start = clock_.NowNs();
    Status status = TakeLanded(true, out);
    counters_.stall_ns.Add(static_cast<uint64_t>(clock_.NowNs() - start));
    MACH_RETURN_IF_ERROR(std::move(status));
  } while (out.ready().empty());
  Pump();  // so that the disk works while these compute
  return Ok();
}

void StreamingStore::Unpin(uint32_t slot) { bank_->Unpin(slot); }

void StreamingStore::Give(Acquisition& out, uint32_t index, uint32_t slot) {
  bank_->Pin(slot);
  HandOut(out, index, slot, bank_->Memory(slot));
}

std::optional<uint32_t> StreamingStore::ClaimFor(ExpertKey key) {
  return transient_ ? ClaimAhead(key) : bank_->Claim(key);
}

// Never evicts.
std::optional<uint32_t> StreamingStore::ClaimAhead(ExpertKey key) {
  // A layer fills what is free of its share, so that a cold bank gets warm.
  if (bank_->ResidentIn(catalog_.LayerOf(key)) < layer_share_) {
    if (const auto slot = bank_->ClaimFree(key)) return slot;
  }
  return bank_->ClaimStaging(key);
}

std::optional<uint32_t> StreamingStore::StartRead(ExpertKey key, std::optional<uint32_t> slot) {
  if (slot) reads_->Start(*slot, key, bank_->Memory(*slot));
  return slot;
}

void StreamingStore::Pump() {
  while (next_missing_ < missing_.size() && waiting_ < plan_.window &&
         reads_->in_flight() < reads_->depth()) {
    const Missing& missing = missing_[next_missing_];
    const auto slot = StartRead(missing.key, ClaimFor(missing.key));
    if (!slot) break;
    want_[*slot] = missing.index;
    ++waiting_;
    ++next_missing_;
  }
  if (next_missing_ == missing_.size()) ReadAhead();
  reads_->Flush();
}

void StreamingStore::ReadAhead() {
  // The file of a large chunk's next layer is read for sure; guesses only where the disk is idle.
  const size_t most = transient_ ? reads_->depth() : std::min(plan_.window, reads_->depth());
  GuessCounters& counters = transient_ ? counters_.read_ahead : counters_.prefetch;
  for (; next_ahead_ < ahead_.size() && reads_->in_flight() < most; ++next_ahead_) {
    const ExpertKey key = ahead_[next_ahead_];
    if (bank_->Find(key)) continue;
    // A guess in the bank might be evicted before its layer comes; staging is its own.
    const auto slot = StartRead(key, transient_ ? ClaimAhead(key) : bank_->ClaimStaging(key));
    if (!slot) break;
    ahead_of_[*slot] = &counters;
    ahead_slots_.push_back(*slot);
    counters.issued.Add();
  }
}

void StreamingStore::PlanReadAhead(uint32_t layer, size_t wanted) {
  if (!transient_) {
    std::swap(ahead_, predicted_);
    predicted_.clear();
    return;
  }
  const uint32_t next = next_layer_[layer];
  if (next == kNone) return;
  if (static_cast<double>(wanted) < kReadAheadShare * layer_records_[layer]) return;
  for (uint32_t e = 0; e < catalog_.experts; ++e) {
    const ExpertKey key = catalog_.Key(LayerId(next), ExpertId(e));
    if (catalog_.records[key].bytes != 0) ahead_.push_back(key);
  }
}

void StreamingStore::Used(uint32_t slot) {
  if (ahead_of_[slot] == nullptr) return;
  ahead_of_[slot]->used.Add();
  ahead_of_[slot] = nullptr;
}

void StreamingStore::Wasted(uint32_t slot) {
  if (ahead_of_[slot] == nullptr) return;
  ahead_of_[slot]->wasted.Add();
  ahead_of_[slot] = nullptr;
}

void StreamingStore::DropUnused(uint32_t layer) {
  std::erase_if(ahead_slots_, [&](uint32_t slot) {
    if (ahead_of_[slot] == nullptr) return true;  // used
    if (catalog_.LayerOf(bank_->key(slot)) != layer) return false;
    Wasted(slot);
    // One still loading is dropped when it lands.
    if (!bank_->resident(slot) && !bank_->loading(slot)) bank_->Drop(slot);
    return true;
  });
}

Status StreamingStore::TakeLanded(bool wait, Acquisition& out) {
  if (reads_->in_flight() == 0) return Ok();
  landed_.clear();
  reads_->Take(wait, landed_);
  std::optional<Error> failure;
  for (LandedRecord& record : landed_) {
    const uint32_t slot = record.slot;
    const uint32_t index = std::exchange(want_[slot], kNone);
    if (index != kNone) --waiting_;
    if (!record.status) {
      Wasted(slot);
      bank_->Drop(slot);
      if (index != kNone && !failure) failure = std::move(record.status).error();
      continue;
    }
    bank_->Landed(slot);
    if (index != kNone) {
      Give(out, index, slot);
    } else if (!bank_->resident(slot) && ahead_of_[slot] == nullptr) {
      bank_->Drop(slot);  // nobody waits for it any more
    }
  }
  if (!failure) return Ok();
  Abandon();
  out.Clear();
  return *std::move(failure);
}

void StreamingStore::Abandon() {
  if (waiting_ != 0) std::fill(want_.begin(), want_.end(), kNone);
  waiting_ = 0;
  missing_.clear();
  next_missing_ = 0;
  ahead_.clear();
  next_ahead_ = 0;
  current_ = nullptr;
}

void StreamingStore::CheckIdle() {
  Abandon();
  Acquisition none;
  while (reads_->in_flight() > 0) MACH_CHECK(TakeLanded(true, none).ok());
  bank_->CheckConsistency();
  MACH_CHECK(bank_->pinned() == 0);
}

}  // namespace mach::experts
