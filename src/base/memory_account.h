// What one piece of work allocates, counted against a ledger while it is allocated.
//
// While a MemoryScope lives, its thread charges an account for what it takes by operator new and
// credits it for what it gives back. An allocation that the account has no room for throws
// std::bad_alloc, as one does that the system has no room for. So work whose size a client decides
// is bounded whatever it does, without a count in each of its structures. (ClickHouse's
// MemoryTracker works in this way.) Memory that C libraries take by malloc is not counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/memory_ledger.h"
#include "base/mutex.h"

namespace mach {

// Thread-safe. Shares the ledger, since what is charged may outlive whoever made it: an engine
// keeps a request's channel for a while. What is still charged when it dies is given back.
//
// Invariant: reservation_ has charged_ bytes. Scopes tell in steps, so that an account may be wrong
// by one step for each thread.
class MemoryAccount {
 public:
  enum class Refusal : unsigned char {
    kNone,
    kTooMuch,  // more than one account may have
    kFull,     // other accounts hold what is missing
  };

  // most_bytes: of this account, of what the ledger has for all.
  MemoryAccount(std::shared_ptr<MemoryLedger> ledger, MemoryTag tag, size_t most_bytes);

  // Bytes that were taken, or with a negative number given back. False, and nothing changes: there
  // is no room for them. Allocates nothing.
  bool TryCharge(int64_t bytes);

  size_t peak_bytes() const;
  Refusal refusal() const;  // of the last charge that was refused
  size_t most_bytes() const { return most_bytes_; }

 private:
  const std::shared_ptr<MemoryLedger> ledger_;
  const size_t most_bytes_;
  mutable Mutex mu_;
  MemoryReservation reservation_ GUARDED_BY(mu_);
  int64_t charged_ GUARDED_BY(mu_) =
      0;  // never negative: nobody saves up by freeing what others paid for
  size_t peak_ GUARDED_BY(mu_) = 0;  // of charged_
  Refusal refusal_ GUARDED_BY(mu_) = Refusal::kNone;
};

// Lives on one thread's stack. The innermost scope of a thread counts.
class MemoryScope {
 public:
  // Null: the thread's allocations are not counted.
  explicit MemoryScope(std::shared_ptr<MemoryAccount> account) noexcept;
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  // The account that this thread charges; null: none. For work that goes on elsewhere.
  static std::shared_ptr<MemoryAccount> Current();

  // By operator new and delete alone.
  bool Allocated(size_t bytes) noexcept;
  void Freed(size_t bytes) noexcept;

 private:
  bool Tell(int64_t bytes) noexcept;

  const std::shared_ptr<MemoryAccount> account_;
  MemoryScope* const outer_;
  int64_t untold_ = 0;  // bytes; below kTellBytes either way
};

}  // namespace mach
