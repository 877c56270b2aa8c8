// Reads of whole expert records: queued, tried twice, and verified against their checksums.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/log_limit.h"
#include "base/thread_pool.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/slot_table.h"
#include "io/async_reader.h"

namespace mach::experts {

// A record that has landed in its slot, not verified yet, or will not come.
struct LandedRecord {
  uint32_t slot;
  Status status;  // names layer, expert and file
};

// Reads into slots that the table says are kReading; moves none to another state, which is for the
// caller to do. Used by one thread. Failures of reads and wrong checksums go to the log: as a
// warning where the record is read again, else as an error.
class RecordReader {
 public:
  // Opens the catalog's files; kCorrupt when one is shorter than its records say. `memory` holds
  // the slots in order, catalog.slot_bytes each. Checksums are computed in the threads of `pool`,
  // when there is one. What is referred to must outlive the reader.
  static Result<std::unique_ptr<RecordReader>> Create(const Catalog& catalog,
                                                      std::unique_ptr<io::AsyncReader> reader,
                                                      std::span<std::byte> memory, SlotTable& slots,
                                                      BankCounters& counters,
                                                      ThreadPool* pool = nullptr);

  io::ReadMode mode() const { return reader_->mode(); }
  size_t depth() const { return reader_->depth(); }
  // Started and not taken.
  size_t in_flight() const { return in_flight_; }

  // Begins to read the slot's record. The system gets it at the next Flush or Take, in the order of
  // the starts.
  void Start(uint32_t slot);
  void Flush();

  // Appends what has landed; with wait, at least one unless nothing is in flight. A failed read
  // begins again once by itself before it counts as landed.
  void Take(bool wait, std::vector<LandedRecord>& out);

  // Computes the checksums of landed records, for Verify, which compares one: kCorrupt, naming
  // layer, expert and file, when it is wrong. A catalog without checksums takes every record as
  // right.
  void ComputeChecksums(std::span<const uint32_t> slots);
  Status Verify(uint32_t slot);
  // Begins to read a landed record once more; false when it was read twice already.
  bool ReadAgain(uint32_t slot);

 private:
  RecordReader(const Catalog& catalog, std::unique_ptr<io::AsyncReader> reader,
               std::span<std::byte> memory, SlotTable& slots, BankCounters& counters,
               ThreadPool* pool)
      : catalog_(catalog),
        memory_(memory),
        slots_(slots),
        counters_(counters),
        pool_(pool),
        reader_(std::move(reader)) {}
  const ExpertRecord& Record(uint32_t slot) const { return catalog_.records[slots_[slot].key]; }
  std::span<std::byte> Memory(uint32_t slot, size_t bytes) const {
    return memory_.subspan(slot * catalog_.slot_bytes, bytes);
  }
  void Queue(uint32_t slot);
  void FailQueued(const Error& error, std::vector<LandedRecord>& out);
  void Finish(io::ReadCompletion& completion, std::vector<LandedRecord>& out);
  void Report(const Error& error, bool again);

  const Catalog& catalog_;
  const std::span<std::byte> memory_;
  SlotTable& slots_;
  BankCounters& counters_;
  ThreadPool* const pool_;
  std::vector<io::ReadRequest> queued_;
  std::vector<LandedRecord> failed_;  // that the system never took
  std::vector<io::ReadCompletion> completions_;
  size_t in_flight_ = 0;
  // A request for a damaged record can be repeated. Failures have a limit of their own, so that
  // warnings leave none out.
  LogLimit warnings_{20, std::chrono::seconds(1)};
  LogLimit failures_{20, std::chrono::seconds(1)};
  std::unique_ptr<io::AsyncReader> reader_;
};

}  // namespace mach::experts
