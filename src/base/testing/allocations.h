// Counts the program's heap allocations, for tests of code that must not make any.
#pragma once

#include <cstdint>

namespace mach::test {

// Calls of operator new by all threads since the program started, and calls of malloc by our own
// code. Mapped memory (AlignedBuffer) is not counted.
uint64_t Allocations();

}  // namespace mach::test
