#include "base/testing/allocations.h"

#include <atomic>
#include <cstddef>

namespace {

std::atomic<uint64_t> g_allocations{0};

}  // namespace

// mach_base_testing links with -Wl,--wrap for these two, which are what our operator new calls
// (base/memory_account.cc). Names of the linker.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __real_malloc(size_t bytes);
void* __wrap_malloc(size_t bytes);
int __real_posix_memalign(void** out, size_t alignment, size_t bytes);
int __wrap_posix_memalign(void** out, size_t alignment, size_t bytes);

void* __wrap_malloc(size_t bytes) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __real_malloc(bytes);
}

int __wrap_posix_memalign(void** out, size_t alignment, size_t bytes) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __real_posix_memalign(out, alignment, bytes);
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace mach::test {

uint64_t Allocations() { return g_allocations.load(std::memory_order_relaxed); }

}  // namespace mach::test
