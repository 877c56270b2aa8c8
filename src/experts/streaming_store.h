// Experts on disk behind a bounded bank: hits at once, misses as their reads land.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "experts/bank.h"
#include "experts/bank_report.h"
#include "experts/expert_store.h"
#include "experts/prefetch_gate.h"
#include "experts/record_reader.h"
#include "experts/streaming_plan.h"
#include "io/async_reader.h"

namespace mach::experts {

// An acquisition may be larger than the bank: its experts come in waves, each wave in the slots
// that the one before it has left.
class StreamingStore final : public ExpertStore {
 public:
  // The clock, the ledger and the pool must outlive the store. `reader` has no files yet. The pool
  // verifies checksums, from the thread that uses the store.
  static Result<std::unique_ptr<StreamingStore>> Create(Catalog catalog,
                                                        const StreamingOptions& options,
                                                        std::unique_ptr<io::AsyncReader> reader,
                                                        MemoryLedger& ledger, const Clock& clock,
                                                        ThreadPool* pool = nullptr);
  ~StreamingStore() override;

  const Catalog& catalog() const { return catalog_; }
  const StreamingPlan& plan() const { return plan_; }
  Eviction eviction() const { return options_.eviction; }
  io::ReadMode read_mode() const { return reads_->mode(); }
  // For any thread, at any time while the store lives.
  const BankCounters& counters() const { return counters_; }
  BankStats Stats() const { return report_->Snapshot(); }

  void BeginPass(const ExpertPass& pass) override;
  void Commit(size_t rows) override;
  bool WantsPredictions() const override { return predicting_; }
  void Predict(LayerId layer, std::span<const ExpertId> ids) override;
  Status Acquire(const ExpertRequest& request, Acquisition& out) override;
  Status Wait(Acquisition& out) override;

  // For tests: waits for what is in flight. Aborts when the bank's books do not agree or, with
  // nothing acquired, anything is pinned.
  void TEST_CheckIdle();

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  struct Missing {
    ExpertKey key;
    uint32_t index;  // in the acquisition
  };
  // What a draft reads, until it is known which of its rows stay.
  struct Held {
    uint32_t slot;  // staged, with a pin
    uint32_t row;   // the first one that chose it
  };

  StreamingStore(Catalog catalog, const StreamingOptions& options, const StreamingPlan& plan,
                 const Clock& clock);
  void Unpin(uint32_t slot) override;

  void LearnToken(std::span<const ExpertKey> used);  // by layer

  // Starts reads as far as slots and depth allow: demand, then what is ahead.
  void Pump();
  std::optional<uint32_t> StartRead(std::optional<uint32_t> slot);
  std::optional<uint32_t> ClaimFor(const Missing& missing);
  std::optional<uint32_t> ClaimAhead(ExpertKey key);
  void NoteDemand(uint32_t layer, size_t wanted);
  void PlanReadAhead(uint32_t layer);
  void ReadAhead();

  // Takes landed records; those that `out` waits for are verified and handed out. The first
  // failure of one of those ends the acquisition.
  Status TakeLanded(bool wait, Acquisition& out);
  Status GiveArrived(Acquisition& out);
  void GiveLater(Acquisition& out);
  Status Fail(Error error, Acquisition& out);
  void Abandon();
  void Give(Acquisition& out, uint32_t index, uint32_t slot);
  uint32_t RowOf(uint32_t index) const { return first_rows_.empty() ? 0 : first_rows_[index]; }
  bool AllRead() const { return slots_->wanted_reads() == 0 && next_missing_ == missing_.size(); }

  const Catalog catalog_;
  const StreamingOptions options_;
  const StreamingPlan plan_;
  const Clock& clock_;
  const bool holds_all_;
  std::vector<uint32_t> layer_records_;  // by layer
  std::vector<uint32_t> next_layer_;     // by layer: the next one with experts, or kNone
  uint32_t first_layer_ = kNone;         // with experts

  BankCounters counters_;
  std::unique_ptr<Bank> bank_;
  SlotTable* slots_ = nullptr;           // of bank_
  std::optional<BankReport> report_;     // set by Create
  std::unique_ptr<RecordReader> reads_;  // destroyed before the memory that it reads into

  // Rows from which on a chunk is known to need nearly all experts of a layer.
  size_t full_rows_ = SIZE_MAX;

  // The pass under way.
  size_t rows_ = 0;
  bool transient_ = false;  // goes through staging
  bool draft_ = false;
  const std::atomic<bool>* cancel_ = nullptr;
  std::vector<std::vector<ExpertKey>> touched_;  // by row of a draft, but for the first; by layer
  std::vector<Held> held_;

  // The acquisition under way.
  const Acquisition* current_ = nullptr;
  std::vector<uint32_t> first_rows_;
  int64_t asked_ns_ = 0;          // when it began
  bool missed_ = false;           // it counts as a layer that missed
  std::vector<Missing> missing_;  // without a slot yet, from next_missing_ on
  size_t next_missing_ = 0;
  bool hold_last_ = false;  // the last of those begins when one of the others has landed
  std::vector<LandedRecord> landed_;

  // Read for layers after this one: the whole next one while a large chunk goes through, or what
  // its router predicts. A guess is verified when it is used.
  std::vector<ExpertKey> ahead_;  // to be read, from next_ahead_ on
  size_t next_ahead_ = 0;
  PrefetchGate gate_;
  bool predicting_ = false;  // this pass
};

}  // namespace mach::experts
