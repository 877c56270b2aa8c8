#include "io/xxh3.h"

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace mach::io {
#if defined(__x86_64__)
namespace {

// The library picks its code at the first long input without a lock.
bool PickCode() {
  constexpr std::byte kLong[1024] = {};
  return XXH3_64bits_dispatch(kLong, sizeof(kLong)) != 0;
}

}  // namespace

uint64_t Xxh3(std::span<const std::byte> data) {
  static const bool picked = PickCode();
  static_cast<void>(picked);
  return XXH3_64bits_dispatch(data.data(), data.size());
}
#else
uint64_t Xxh3(std::span<const std::byte> data) { return XXH3_64bits(data.data(), data.size()); }
#endif

}  // namespace mach::io
