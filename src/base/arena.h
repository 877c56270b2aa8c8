// Scratch memory for one forward pass: bump allocation, freed as a stack.
#pragma once

#include <cstddef>

#include "base/aligned_memory.h"
#include "base/check.h"

namespace mach {

// Owned by one thread. Sized at load; running out is our own bug, since the sizes are computed.
class Arena {
 public:
  static Result<Arena> Create(size_t bytes) {
    MACH_TRY(AlignedBuffer buffer, AlignedBuffer::Allocate(bytes));
    return Arena(std::move(buffer));
  }

  // n elements, 64-byte aligned, uninitialised, until the enclosing scope ends.
  template <class T>
  T* Take(size_t n) {
    const size_t bytes = Footprint<T>(n);
    MACH_CHECK(bytes <= buffer_.size() - used_);
    T* taken = buffer_.As<T>(used_);
    used_ += bytes;
    return taken;
  }
  // Bytes that Take<T>(n) uses.
  template <class T>
  static constexpr size_t Footprint(size_t n) {
    return RoundUp(n * sizeof(T), kCacheLineBytes);
  }

  size_t size() const { return buffer_.size(); }

 private:
  friend class ArenaScope;
  explicit Arena(AlignedBuffer buffer) : buffer_(std::move(buffer)) {}
  AlignedBuffer buffer_;
  size_t used_ = 0;
};

// What is taken from the arena while this lives is free again when it dies.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), used_(arena.used_) {}
  ~ArenaScope() { arena_.used_ = used_; }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  const size_t used_;
};

}  // namespace mach
