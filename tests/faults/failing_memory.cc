#include "failing_memory.h"

#include <atomic>
#include <cerrno>

#include <sys/mman.h>

#include "base/check.h"

namespace {

// 0: nothing fails.
std::atomic<uint64_t> g_nth{0};
std::atomic<bool> g_persistent{false};
std::atomic<uint64_t> g_mappings{0};
std::atomic<uint64_t> g_failures{0};
std::atomic<uint64_t> g_mapped{0};

bool Fails() {
  const uint64_t nth = g_nth.load();
  if (nth == 0) return false;
  const uint64_t number = g_mappings.fetch_add(1) + 1;
  if (number != nth && !(g_persistent.load() && number > nth)) return false;
  g_failures.fetch_add(1);
  return true;
}

}  // namespace

extern "C" {
void* __real_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset);
void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset);

int __real_munmap(void* address, size_t bytes);
int __wrap_munmap(void* address, size_t bytes);

// Calls of the objects that are linked statically come here.
void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  if (file == -1 && Fails()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void* const mapped = __real_mmap(address, bytes, protection, flags, file, offset);
  if (file == -1 && mapped != MAP_FAILED) g_mapped.fetch_add(bytes);
  return mapped;
}
int __wrap_munmap(void* address, size_t bytes) {
  g_mapped.fetch_sub(bytes);
  return __real_munmap(address, bytes);
}
}

namespace mach::test {

FailingMemory::FailingMemory(uint64_t nth, bool persistent) {
  MACH_CHECK(g_nth.load() == 0 && nth != 0);
  g_persistent = persistent;
  g_mappings = 0;
  g_failures = 0;
  g_nth = nth;
}

FailingMemory::~FailingMemory() { g_nth = 0; }

uint64_t FailingMemory::failures() const { return g_failures.load(); }

uint64_t FailingMemory::Mapped() { return g_mapped.load(); }

}  // namespace mach::test
