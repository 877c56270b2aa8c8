// Large memory that the system refuses. A binary that uses it links with -Wl,--wrap=mmap and
// -Wl,--wrap=munmap.
#pragma once

#include <cstdint>

namespace mach::test {

// While it lives, the Nth anonymous mapping (from 1) that our own code asks for fails with ENOMEM,
// and with `persistent` all later ones. Those are AlignedBuffer's: weights, experts, caches,
// scratch, staging. One at a time; mappings of any thread count.
class FailingMemory {
 public:
  FailingMemory(uint64_t nth, bool persistent);
  ~FailingMemory();
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  uint64_t failures() const;
  // Anonymous bytes that our own code has mapped and not given back, whether one lives or not.
  static uint64_t Mapped();
};

}  // namespace mach::test
