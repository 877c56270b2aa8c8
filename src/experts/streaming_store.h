// Experts on disk behind a bounded bank: hits at once, misses as their reads land.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "experts/catalog.h"
#include "experts/counters.h"
#include "experts/expert_store.h"
#include "experts/streaming_plan.h"
#include "io/async_reader.h"

namespace mach::experts {

// An acquisition may be larger than the bank: its experts come in waves, each wave in the slots
// that the one before it has left. Experts arrive in any order; every one is verified before it is
// handed out.
class StreamingStore : public ExpertStore {
 public:
  virtual const Catalog& catalog() const = 0;
  virtual const StreamingPlan& plan() const = 0;
  virtual Eviction eviction() const = 0;
  virtual io::ReadMode read_mode() const = 0;
  // For any thread, at any time while the store lives.
  virtual const BankCounters& counters() const = 0;
  virtual BankStats Stats() const = 0;

  // Waits for the reads in flight. Aborts when the bank's books do not agree or, with nothing
  // acquired, anything is pinned.
  virtual void TEST_CheckIdle() = 0;
};

// kInvalidArgument as PlanStreaming; kCorrupt when a file is shorter than its records say. `reader`
// has no files yet. The pool verifies checksums, from the thread that uses the store. The clock,
// the ledger and the pool must outlive the store.
Result<std::unique_ptr<StreamingStore>> MakeStreamingStore(Catalog catalog,
                                                           const StreamingOptions& options,
                                                           std::unique_ptr<io::AsyncReader> reader,
                                                           MemoryLedger& ledger, const Clock& clock,
                                                           ThreadPool* pool = nullptr);

}  // namespace mach::experts
