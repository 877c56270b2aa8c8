#include "base/memory_account.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include <malloc.h>

namespace mach {
namespace {

// A scope tells its account of so many bytes at once, and accounts claim their memory in such
// steps: most allocations cost an addition.
constexpr int64_t kTellBytes = 64 << 10;

constinit thread_local MemoryScope* t_scope = nullptr;

}  // namespace

MemoryAccount::MemoryAccount(std::shared_ptr<MemoryLedger> ledger, MemoryTag tag, size_t most_bytes)
    : ledger_(std::move(ledger)), most_bytes_(most_bytes) {
  auto nothing = ledger_->Reserve(tag, 0);
  MACH_CHECK(nothing.ok());
  reservation_ = *std::move(nothing);
}

bool MemoryAccount::TryCharge(int64_t bytes) {
  const MutexLock lock(mu_);
  const int64_t now = std::max<int64_t>(charged_ + bytes, 0);
  const size_t needed = static_cast<size_t>(now);
  const size_t had = reservation_.bytes();
  if (bytes > 0 && needed > most_bytes_) {
    refusal_ = Refusal::kTooMuch;
    return false;
  }
  if (needed > had && !reservation_.TryGrow(needed - had)) {
    refusal_ = Refusal::kFull;
    return false;
  }
  if (needed < had) reservation_.Shrink(had - needed);
  charged_ = now;
  peak_ = std::max(peak_, needed);
  return true;
}

size_t MemoryAccount::peak_bytes() const {
  const MutexLock lock(mu_);
  return peak_;
}

MemoryAccount::Refusal MemoryAccount::refusal() const {
  const MutexLock lock(mu_);
  return refusal_;
}

MemoryScope::MemoryScope(std::shared_ptr<MemoryAccount> account) noexcept
    : account_(std::move(account)), outer_(t_scope) {
  t_scope = this;
}

MemoryScope::~MemoryScope() {
  t_scope = outer_;
  // What does not fit is a part of a step, and there is nobody left to refuse.
  if (account_ != nullptr && untold_ != 0) (void)account_->TryCharge(untold_);
}

std::shared_ptr<MemoryAccount> MemoryScope::Current() {
  return t_scope == nullptr ? nullptr : t_scope->account_;
}

bool MemoryScope::Tell(int64_t bytes) noexcept {
  t_scope = nullptr;  // an account's own work is not charged
  const bool room = account_->TryCharge(bytes);
  t_scope = this;
  return room;
}

bool MemoryScope::Allocated(size_t bytes) noexcept {
  if (account_ == nullptr) return true;
  const int64_t untold = untold_ + static_cast<int64_t>(bytes);
  if (untold >= kTellBytes) {
    if (!Tell(untold)) return false;
    untold_ = 0;
  } else {
    untold_ = untold;
  }
  return true;
}

void MemoryScope::Freed(size_t bytes) noexcept {
  if (account_ == nullptr) return;
  untold_ -= static_cast<int64_t>(bytes);
  if (untold_ > -kTellBytes) return;
  (void)Tell(untold_);  // giving back is never refused
  untold_ = 0;
}

namespace {

void* Allocate(size_t bytes, size_t alignment) noexcept {
  bytes = std::max<size_t>(bytes, 1);
  void* p = nullptr;
  if (alignment == 0) {
    p = std::malloc(bytes);
  } else if (posix_memalign(&p, std::max(alignment, sizeof(void*)), bytes) != 0) {
    p = nullptr;
  }
  if (p != nullptr && t_scope != nullptr && !t_scope->Allocated(malloc_usable_size(p))) {
    std::free(p);
    return nullptr;
  }
  return p;
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* const p = Allocate(bytes, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void Free(void* p) noexcept {
  if (p != nullptr && t_scope != nullptr) t_scope->Freed(malloc_usable_size(p));
  std::free(p);
}

}  // namespace
}  // namespace mach

// The replaceable functions of the standard ([new.delete]): all forms, since a sanitizer's runtime
// has its own of each.
#define MACH_NEW_AND_DELETE(form)                                                                 \
  void* operator new form(size_t n) { return mach::AllocateOrThrow(n, 0); }                       \
  void* operator new form(size_t n, const std::nothrow_t&) noexcept {                             \
    return mach::Allocate(n, 0);                                                                  \
  }                                                                                               \
  void* operator new form(size_t n, std::align_val_t alignment) {                                 \
    return mach::AllocateOrThrow(n, static_cast<size_t>(alignment));                              \
  }                                                                                               \
  void* operator new form(size_t n, std::align_val_t alignment, const std::nothrow_t&) noexcept { \
    return mach::Allocate(n, static_cast<size_t>(alignment));                                     \
  }                                                                                               \
  void operator delete form(void* p) noexcept { mach::Free(p); }                                  \
  void operator delete form(void* p, size_t) noexcept { mach::Free(p); }                          \
  void operator delete form(void* p, std::align_val_t) noexcept { mach::Free(p); }                \
  void operator delete form(void* p, size_t, std::align_val_t) noexcept { mach::Free(p); }        \
  void operator delete form(void* p, const std::nothrow_t&) noexcept { mach::Free(p); }           \
  void operator delete form(void* p, std::align_val_t, const std::nothrow_t&) noexcept {          \
    mach::Free(p);                                                                                \
  }
#define MACH_SINGLE
MACH_NEW_AND_DELETE(MACH_SINGLE)
MACH_NEW_AND_DELETE([])
