// Anonymous, page-aligned memory: weights, experts, caches, scratch.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace mach {

// The unit of our formats and of direct reads. The system's page may be larger (arm64: 16 or 64
// KiB); mappings are then rounded up by the kernel.
inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kHugePageBytes = size_t{2} << 20;
inline constexpr size_t kCacheLineBytes = 64;

constexpr size_t RoundUp(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The size of a buffer all of whose pages are huge; below one such page, just bytes.
constexpr size_t WholeHugePages(size_t bytes) {
  return bytes < kHugePageBytes ? bytes : RoundUp(bytes, kHugePageBytes);
}

// Owns a private anonymous mapping, zeroed, kPageBytes-aligned (2 MiB-aligned, and advised to use
// huge pages, when it is 2 MiB or more). Move-only. Reserve the bytes in a MemoryLedger first.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  static Result<AlignedBuffer> Allocate(size_t bytes);

  AlignedBuffer(AlignedBuffer&& o) noexcept
      : base_(std::exchange(o.base_, nullptr)),
        mapped_(std::exchange(o.mapped_, 0)),
        data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept;
  ~AlignedBuffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  template <class T>
  T* As(size_t byte_offset = 0) {
    return reinterpret_cast<T*>(data_ + byte_offset);
  }
  template <class T>
  const T* As(size_t byte_offset = 0) const {
    return reinterpret_cast<const T*>(data_ + byte_offset);
  }

 private:
  void* base_ = nullptr;  // of the mapping; data_ lies within, at a huge-page boundary
  size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Makes it at least so large. What it held is lost; it is empty after a failure.
Status Grow(AlignedBuffer& buffer, size_t bytes);

// Hands out parts of one memory in two passes of the same code: the first measures, the second
// places.
class MemoryPlacer {
 public:
  // The next part, on a cache line; null while measuring.
  std::byte* Place(size_t bytes) {
    std::byte* at = memory_ == nullptr ? nullptr : memory_ + offset_;
    offset_ += RoundUp(bytes, kCacheLineBytes);
    return at;
  }
  // Begins the second pass. REQUIRES: memory holds what bytes() gave after the first.
  void Begin(std::byte* memory) {
    memory_ = memory;
    offset_ = 0;
  }
  bool measuring() const { return memory_ == nullptr; }
  size_t bytes() const { return offset_; }  // of this pass so far

 private:
  std::byte* memory_ = nullptr;
  size_t offset_ = 0;
};

}  // namespace mach
