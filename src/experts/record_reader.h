// Reads of whole expert records: queued, tried twice, and verified against their checksums.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/log_limit.h"
#include "base/thread_pool.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "io/async_reader.h"

namespace mach::experts {

// A record that has landed in its slot, not verified yet, or will not come.
struct LandedRecord {
  uint32_t slot;
  ExpertKey key;
  Status status;  // names layer, expert and file
};

// Used by one thread. Failures of reads and wrong checksums go to the log: as a warning where the
// record is read again, else as an error.
class RecordReader {
 public:
  // Opens the catalog's files; kCorrupt when one is shorter than its records say. Checksums are
  // computed in the threads of `pool`, when there is one. The catalog, the counters,
  // the pool and `memory` (all slots) must outlive the reader.
  static Result<std::unique_ptr<RecordReader>> Create(const Catalog& catalog,
                                                      std::unique_ptr<io::AsyncReader> reader,
                                                      std::span<std::byte> memory, size_t slots,
                                                      BankCounters& counters,
                                                      ThreadPool* pool = nullptr);

  io::ReadMode mode() const { return reader_->mode(); }
  size_t depth() const { return reader_->depth(); }
  // Started and not taken.
  size_t in_flight() const { return in_flight_; }

  // Begins to read a record into a slot of catalog.slot_bytes that has no read yet. The system
  // gets it at the next Flush or Take, in the order of the starts.
  void Start(uint32_t slot, ExpertKey key, std::span<std::byte> memory);
  void Flush();

  // Appends what has landed; with wait, at least one unless nothing is in flight. A failed read
  // begins again once by itself before it counts as landed.
  void Take(bool wait, std::vector<LandedRecord>& out);

  // Computes the checksums of landed records, for Verify, which compares one: kCorrupt, naming
  // layer, expert and file, when it is wrong. Without checksums in the catalog nothing is.
  void ComputeChecksums(std::span<const uint32_t> slots);
  Status Verify(uint32_t slot);
  // Reads a landed record once more; false when it was read twice already.
  bool ReadAgain(uint32_t slot);

 private:
  struct Read {
    ExpertKey key = 0;
    std::span<std::byte> memory;
    bool retried = false;
  };
  RecordReader(const Catalog& catalog, std::unique_ptr<io::AsyncReader> reader, size_t slots,
               BankCounters& counters, ThreadPool* pool)
      : catalog_(catalog),
        counters_(counters),
        pool_(pool),
        reads_(slots),
        checksums_(slots),
        reader_(std::move(reader)) {}
  void Queue(uint32_t slot);
  void FailQueued(const Error& error, std::vector<LandedRecord>& out);
  void Finish(io::ReadCompletion& completion, std::vector<LandedRecord>& out);
  void Report(const Error& error, bool again);

  const Catalog& catalog_;
  BankCounters& counters_;
  ThreadPool* const pool_;
  std::vector<Read> reads_;          // by slot
  std::vector<uint64_t> checksums_;  // by slot, of ComputeChecksums
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
