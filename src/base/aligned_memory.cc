#include "base/aligned_memory.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include <sys/mman.h>

#include "base/units.h"

namespace mach {
Result<AlignedBuffer> AlignedBuffer::Allocate(size_t bytes) {
  AlignedBuffer buffer;
  if (bytes == 0) return buffer;
  if (bytes > std::numeric_limits<size_t>::max() / 2) {
    return Error{Code::kNoMemory, "cannot allocate " + BytesText(bytes) + " of memory"};
  }
  const bool huge = bytes >= kHugePageBytes;
  const size_t mapped = RoundUp(bytes, kPageBytes) + (huge ? kHugePageBytes : 0);
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    return Error{Code::kNoMemory,
                 "cannot allocate " + BytesText(bytes) + " of memory: " + std::strerror(errno)};
  }
  uintptr_t address = reinterpret_cast<uintptr_t>(base);
  if (huge) {
    address = RoundUp(address, kHugePageBytes);
    // Advice only: without huge pages everything works, with more TLB misses.
    (void)madvise(reinterpret_cast<void*>(address), RoundUp(bytes, kPageBytes), MADV_HUGEPAGE);
  }
  buffer.base_ = base;
  buffer.mapped_ = mapped;
  buffer.data_ = reinterpret_cast<std::byte*>(address);
  buffer.size_ = bytes;
  return buffer;
}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& o) noexcept {
  if (this != &o) {
    this->~AlignedBuffer();
    new (this) AlignedBuffer(std::move(o));
  }
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  if (base_ != nullptr) munmap(base_, mapped_);
}

Status Grow(AlignedBuffer& buffer, size_t bytes) {
  if (buffer.size() >= bytes) return Ok();
  buffer = {};
  MACH_TRY(buffer, AlignedBuffer::Allocate(bytes));
  return Ok();
}

}  // namespace mach
