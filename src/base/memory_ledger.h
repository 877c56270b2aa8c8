// Every resident byte is reserved under a tag before it is allocated (DESIGN promise 2).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace mach {

enum class MemoryTag : unsigned char {
  kWeights,
  kExperts,
  kKv,
  kState,
  kPrefix,
  kScratch,
  kStaging,
  kDraft,
  kRequests,
};
inline constexpr size_t kMemoryTags = 9;
std::string_view MemoryTagName(MemoryTag tag);

class MemoryLedger;

// A claim on bytes of a ledger, given back when it dies. Move-only. The ledger must outlive it.
class [[nodiscard]] MemoryReservation {
 public:
  MemoryReservation() = default;
  MemoryReservation(MemoryReservation&& o) noexcept
      : ledger_(std::exchange(o.ledger_, nullptr)),
        tag_(o.tag_),
        bytes_(std::exchange(o.bytes_, 0)) {}
  MemoryReservation& operator=(MemoryReservation&& o) noexcept;
  ~MemoryReservation() { Release(); }

  size_t bytes() const { return bytes_; }
  // Claims so many bytes more; false, and nothing changes, where the ceiling would be crossed.
  // REQUIRES a claim that a ledger has made. Allocates nothing.
  bool TryGrow(size_t more);
  // REQUIRES less <= bytes().
  void Shrink(size_t less);
  void Release();

 private:
  friend class MemoryLedger;
  MemoryReservation(MemoryLedger* ledger, MemoryTag tag, size_t bytes)
      : ledger_(ledger), tag_(tag), bytes_(bytes) {}
  MemoryLedger* ledger_ = nullptr;
  MemoryTag tag_ = MemoryTag::kWeights;
  size_t bytes_ = 0;
};

// A ceiling on the sum of all reservations. Thread-safe.
class MemoryLedger {
 public:
  explicit MemoryLedger(size_t limit_bytes) : limit_(limit_bytes) {}
  MemoryLedger(const MemoryLedger&) = delete;
  MemoryLedger& operator=(const MemoryLedger&) = delete;

  // Fails with kNoMemory, naming the tag and the numbers, when the ceiling would be crossed.
  Result<MemoryReservation> Reserve(MemoryTag tag, size_t bytes);

  size_t limit() const { return limit_; }
  size_t reserved() const { return total_.load(std::memory_order_relaxed); }
  size_t reserved(MemoryTag tag) const {
    return by_tag_[static_cast<size_t>(tag)].load(std::memory_order_relaxed);
  }
  size_t free() const { return limit_ - reserved(); }

 private:
  friend class MemoryReservation;
  bool TryTake(MemoryTag tag, size_t bytes);
  void Return(MemoryTag tag, size_t bytes);
  const size_t limit_;
  std::atomic<size_t> total_{0};
  std::array<std::atomic<size_t>, kMemoryTags> by_tag_{};
};

}  // namespace mach
