#include "base/memory_ledger.h"

#include <string>

#include "base/check.h"
#include "base/units.h"

namespace mach {

std::string_view MemoryTagName(MemoryTag tag) {
  static constexpr std::string_view kNames[kMemoryTags] = {
      "weights", "experts", "kv", "state", "prefix", "scratch", "staging", "draft", "requests"};
  return kNames[static_cast<size_t>(tag)];
}

MemoryReservation& MemoryReservation::operator=(MemoryReservation&& o) noexcept {
  if (this != &o) {
    Release();
    ledger_ = std::exchange(o.ledger_, nullptr);
    tag_ = o.tag_;
    bytes_ = std::exchange(o.bytes_, 0);
  }
  return *this;
}

void MemoryReservation::Release() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->Return(tag_, std::exchange(bytes_, 0));
}

bool MemoryReservation::TryGrow(size_t more) {
  if (!ledger_->TryTake(tag_, more)) return false;
  bytes_ += more;
  return true;
}

void MemoryReservation::Shrink(size_t less) {
  MACH_CHECK(less <= bytes_);
  if (less == 0) return;
  bytes_ -= less;
  ledger_->Return(tag_, less);
}

bool MemoryLedger::TryTake(MemoryTag tag, size_t bytes) {
  size_t held = total_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ - held) return false;
  } while (!total_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  by_tag_[static_cast<size_t>(tag)].fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

Result<MemoryReservation> MemoryLedger::Reserve(MemoryTag tag, size_t bytes) {
  if (TryTake(tag, bytes)) return MemoryReservation(this, tag, bytes);
  return Error{Code::kNoMemory,
               "memory ceiling: " + BytesText(bytes) + " for " + std::string(MemoryTagName(tag)) +
                   " on top of " + BytesText(reserved()) + " reserved exceed the limit of " +
                   BytesText(limit_) +
                   " (--wired-gb); raise it where more is free, or lower what it pays for"};
}

void MemoryLedger::Return(MemoryTag tag, size_t bytes) {
  by_tag_[static_cast<size_t>(tag)].fetch_sub(bytes, std::memory_order_relaxed);
  total_.fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace mach
