#include "experts/streaming_store.h"

#include <array>
#include <utility>
#include <vector>

#include "base/check.h"
#include "experts/bank.h"
#include "experts/bank_report.h"
#include "experts/draft_rows.h"
#include "experts/fetcher.h"
#include "experts/pass_rules.h"
#include "experts/prefetch_gate.h"
#include "experts/prefill_forecast.h"
#include "experts/record_reader.h"
#include "experts/slot_table.h"

namespace mach::experts {
namespace {

// Part of the bank that hot experts may take.
constexpr size_t kHotShare = 2;

// What a store is made of. The later ones refer to the earlier ones; the reader is destroyed before
// the memory that it reads into.
struct StoreParts {
  std::unique_ptr<const Catalog> catalog;
  std::unique_ptr<BankCounters> counters;
  std::unique_ptr<Bank> bank;
  std::unique_ptr<RecordReader> reads;
};

// Joins the parts, each of which owns one truth:
//
// * SlotTable: of each slot its expert, how far the bytes have come, and who needs them.
// * Bank: which expert gets a slot, and which one leaves.
// * Fetcher: which reads are under way (RecordReader), and which one begins next (ReadQueue).
// * PassRules: what the pass under way may do.
// * DraftRows: what the rows of a pass with drafts chose.
// * PrefillForecast: which layers a prefill pass reads ahead.
//
// Invariants, which hold between calls:
//
// * rules_ changes in BeginPass alone, when nothing is wanted and no draft is held.
// * Each expert of the acquisition under way (current_) was handed out, or the fetcher has it. When
//   the acquisition is complete, has failed or is replaced by another one, the fetcher has none of
//   it.
// * A pin of a slot is that of an ExpertPin, of the want of a settled slot, or of DraftRows.
class StreamingStoreImpl final : public StreamingStore {
 public:
  StreamingStoreImpl(StoreParts parts, const StreamingOptions& options, const StreamingPlan& plan,
                     const Clock& clock);

  const Catalog& catalog() const override { return catalog_; }
  const StreamingPlan& plan() const override { return plan_; }
  Eviction eviction() const override { return options_.eviction; }
  io::ReadMode read_mode() const override { return parts_.reads->mode(); }
  const BankCounters& counters() const override { return counters_; }
  BankStats Stats() const override { return report_.Snapshot(); }

  void BeginPass(const ExpertPass& pass) override;
  void Commit(size_t rows) override { drafts_.Commit(rows); }
  bool WantsPredictions() const override { return predicting_; }
  void Predict(LayerId layer, std::span<const ExpertId> ids) override;
  Status Acquire(const ExpertRequest& request, Acquisition& out) override;
  Status Wait(Acquisition& out) override;
  void TEST_CheckIdle() override;

 private:
  struct Absent {
    ExpertKey key;
    uint32_t index;  // in the acquisition
  };

  void Unpin(uint32_t slot) override { slots_.Unpin(slot); }

  // The two halves of Acquire: what the bank has, then the rest.
  void TakeResidents(const ExpertRequest& request, Acquisition& out);
  void TakeAbsent(Acquisition& out);
  void Hit(uint32_t slot, uint32_t index, Acquisition& out);

  // Hands out what the fetcher has verified; its failure ends the acquisition.
  Status HandOutVerified(Status fetched, Acquisition& out);
  void HandOutHits(Acquisition& out);
  void Give(Acquisition& out, uint32_t index, uint32_t slot);
  Status Fail(Error error, Acquisition& out);
  void Abandon();

  bool Certain(uint32_t index) const { return drafts_.FirstRow(index) == 0; }

  // Constant after construction.
  const StoreParts parts_;
  const Catalog& catalog_;
  const StreamingOptions options_;
  const StreamingPlan plan_;
  const Clock& clock_;
  const bool holds_all_;
  BankCounters& counters_;
  Bank& bank_;
  SlotTable& slots_;
  const BankReport report_;
  const std::array<PassRules, 3> all_rules_;

  // The pass under way.
  const PassRules* rules_;
  bool predicting_ = false;
  const std::atomic<bool>* cancel_ = nullptr;
  DraftRows drafts_;
  PrefillForecast forecast_;
  PrefetchGate gate_;

  // The acquisition under way.
  const Acquisition* current_ = nullptr;
  Fetcher fetcher_;
  std::vector<Absent> absent_;  // scratch: what the bank does not have, or not yet
};

StreamingStoreImpl::StreamingStoreImpl(StoreParts parts, const StreamingOptions& options,
                                       const StreamingPlan& plan, const Clock& clock)
    : parts_(std::move(parts)),
      catalog_(*parts_.catalog),
      options_(options),
      plan_(plan),
      clock_(clock),
      holds_all_(plan.bank_slots == catalog_.RecordCount()),
      counters_(*parts_.counters),
      bank_(*parts_.bank),
      slots_(bank_.slots()),
      report_(catalog_, options, plan, counters_, bank_.reuse()),
      all_rules_(MakePassRules(catalog_, options, plan, parts_.reads->depth(), counters_)),
      rules_(&all_rules_[0]),
      drafts_(catalog_, bank_, plan.staging_slots),
      forecast_(catalog_),
      fetcher_(catalog_, bank_, *parts_.reads, drafts_, counters_, clock) {
  fetcher_.SetRules(*rules_);
  absent_.reserve(catalog_.experts);
}

void StreamingStoreImpl::BeginPass(const ExpertPass& pass) {
  // What a pass that was cut off has left.
  Commit(0);
  Abandon();
  for (uint32_t layer = 0; layer < catalog_.layers && slots_.HasUnused(); ++layer) {
    slots_.DropUnused(layer);
  }

  const PassKind kind = KindOf(pass, options_, holds_all_);
  rules_ = &all_rules_[static_cast<size_t>(kind)];
  fetcher_.SetRules(*rules_);
  drafts_.BeginPass(kind == PassKind::kDraft ? pass.rows : 0);
  cancel_ = pass.cancel;
  if (kind == PassKind::kPrefill) {
    if (const auto layer = forecast_.OnPass(pass.rows)) {
      fetcher_.PrefetchLayer(*layer);
      fetcher_.Pump();  // so that the disk works while its attention computes
    }
  }
  predicting_ = !holds_all_ && pass.rows < kTransientRows &&
                (options_.prefetch == Prefetch::kOn ||
                 (options_.prefetch == Prefetch::kAuto && gate_.OnPass(clock_.NowNs(), pass.rows)));
}

void StreamingStoreImpl::Predict(LayerId layer, std::span<const ExpertId> ids) {
  for (const ExpertId id : ids) {
    const ExpertKey key = catalog_.Key(layer, id);
    bank_.OnPredict(key);
    if (rules_->uses_predictions) fetcher_.Prefetch(key);
  }
  fetcher_.Pump();
}

Status StreamingStoreImpl::Acquire(const ExpertRequest& request, Acquisition& out) {
  const uint32_t layer = Index(request.layer);
  Begin(out, request.ids.size());
  Abandon();
  current_ = &out;
  if (rules_->kind == PassKind::kDraft) drafts_.BeginLayer(request);
  // A bank that holds every expert is spared the look at the clock.
  fetcher_.Begin(holds_all_ ? 0 : clock_.NowNs());
  MACH_CHECK(fetcher_.Take(false).ok());  // nothing is wanted that could fail

  if (rules_->learns) bank_.OnVisit(layer);
  // What the bank has comes first, so that promoting a staged expert does not evict it.
  TakeResidents(request, out);
  TakeAbsent(out);
  fetcher_.DemandComplete();
  slots_.DropUnused(layer);
  if (rules_->kind == PassKind::kPrefill) {
    const auto next = forecast_.OnDemand(layer, request.ids.size());
    if (next) fetcher_.PrefetchLayer(*next);
  }
  fetcher_.Pump();
  if (!slots_.to_verify().empty()) {
    MACH_RETURN_IF_ERROR(HandOutVerified(fetcher_.Verify(), out));
  }
  if (out.ready().empty()) HandOutHits(out);
  return Ok();
}

void StreamingStoreImpl::TakeResidents(const ExpertRequest& request, Acquisition& out) {
  absent_.clear();
  for (uint32_t i = 0; i < request.ids.size(); ++i) {
    const ExpertKey key = catalog_.Key(request.layer, request.ids[i]);
    MACH_CHECK(Index(request.layer) < catalog_.layers && Index(request.ids[i]) < catalog_.experts &&
               catalog_.records[key].bytes != 0);
    if (rules_->learns && Certain(i)) bank_.OnUse(key);
    const std::optional<uint32_t> slot = slots_.Find(key);
    if (slot && slots_[*slot].resident && slots_[*slot].settled()) {
      slots_.Use(*slot);
      Hit(*slot, i, out);
    } else {
      absent_.push_back({key, i});
    }
  }
}

void StreamingStoreImpl::TakeAbsent(Acquisition& out) {
  for (const auto [key, index] : absent_) {
    const std::optional<uint32_t> slot = slots_.Find(key);
    if (!slot) {
      rules_->misses->Add();
      fetcher_.Demand(key, index);
      continue;
    }
    slots_.Use(*slot);
    if (rules_->learns && Certain(index) && !slots_[*slot].resident) bank_.Promote(*slot);
    if (slots_[*slot].settled()) {
      Hit(*slot, index, out);
    } else {
      rules_->misses->Add();
      counters_.merged.Add();
      slots_.Want(*slot, index);
    }
  }
}

void StreamingStoreImpl::Hit(uint32_t slot, uint32_t index, Acquisition& out) {
  rules_->hits->Add();
  if (rules_->hits_first && slots_[slot].state == SlotState::kVerified) {
    Give(out, index, slot);
  } else {
    slots_.Want(slot, index);
  }
}

Status StreamingStoreImpl::Wait(Acquisition& out) {
  MACH_CHECK(&out == current_ && !out.complete());
  ReleaseReady(out);
  do {
    fetcher_.Pump();
    MACH_RETURN_IF_ERROR(HandOutVerified(fetcher_.Take(false), out));
    if (out.ready().empty()) HandOutHits(out);
    if (!out.ready().empty()) break;
    if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed)) {
      return Fail({Code::kCancelled, "cancelled"}, out);
    }
    if (fetcher_.idle()) {
      // Only another acquisition's pins can hold every slot.
      return Fail({Code::kBusy, "all " + std::to_string(slots_.size()) +
                                    " slots of the expert bank are in use; raise "
                                    "--expert-cache-gb"},
                  out);
    }
    const int64_t start = clock_.NowNs();
    Status status = fetcher_.Take(true);
    counters_.stall_ns.Add(static_cast<uint64_t>(clock_.NowNs() - start));
    MACH_RETURN_IF_ERROR(HandOutVerified(std::move(status), out));
  } while (out.ready().empty());
  fetcher_.Pump();  // so that the disk works while these compute
  return Ok();
}

Status StreamingStoreImpl::HandOutVerified(Status fetched, Acquisition& out) {
  for (const uint32_t slot : slots_.verified()) Give(out, slots_[slot].wanted_by, slot);
  slots_.UnwantVerified();
  if (!fetched.ok()) return Fail(std::move(fetched).error(), out);
  if (out.complete()) fetcher_.HandedOut();
  return Ok();
}

// What a prefill pass finds in the bank is computed while nothing else has landed.
void StreamingStoreImpl::HandOutHits(Acquisition& out) {
  for (size_t n = 0; n < rules_->part; ++n) {
    const auto slot = slots_.TakeHit();
    if (!slot) return;
    Give(out, slots_[*slot].wanted_by, *slot);
    slots_.Unwant(*slot);
  }
}

void StreamingStoreImpl::Give(Acquisition& out, uint32_t index, uint32_t slot) {
  slots_.Pin(slot);
  if (rules_->holds_staged && !slots_[slot].resident) drafts_.Hold(slot, index);
  HandOut(out, index, slot, bank_.Memory(slot));
}

// Ends the acquisition; it holds no pin.
Status StreamingStoreImpl::Fail(Error error, Acquisition& out) {
  Abandon();
  out.Clear();
  return error;
}

void StreamingStoreImpl::Abandon() {
  fetcher_.Abandon();
  current_ = nullptr;
}

void StreamingStoreImpl::TEST_CheckIdle() {
  Commit(0);
  Abandon();
  while (parts_.reads->in_flight() > 0) MACH_CHECK(fetcher_.Take(true).ok());
  bank_.TEST_CheckConsistency();
  MACH_CHECK(slots_.pinned() == 0);
}

}  // namespace

Result<std::unique_ptr<StreamingStore>> MakeStreamingStore(Catalog catalog,
                                                           const StreamingOptions& options,
                                                           std::unique_ptr<io::AsyncReader> reader,
                                                           MemoryLedger& ledger, const Clock& clock,
                                                           ThreadPool* pool) {
  MACH_TRY(const StreamingPlan plan, PlanStreaming(catalog, options));
  StoreParts parts = {.catalog = std::make_unique<const Catalog>(std::move(catalog)),
                      .counters = std::make_unique<BankCounters>()};
  const size_t hot = options.pin_hot ? plan.bank_slots / kHotShare / parts.catalog->MoeLayers() : 0;
  MACH_TRY(parts.bank, Bank::Create(*parts.catalog,
                                    {.slots = plan.bank_slots,
                                     .staging_slots = plan.staging_slots,
                                     .eviction = options.eviction,
                                     .hot_per_layer = hot},
                                    ledger, *parts.counters));
  MACH_TRY(parts.reads,
           RecordReader::Create(*parts.catalog, std::move(reader), parts.bank->memory(),
                                parts.bank->slots(), *parts.counters, pool));
  return std::unique_ptr<StreamingStore>(
      std::make_unique<StreamingStoreImpl>(std::move(parts), options, plan, clock));
}

}  // namespace mach::experts
