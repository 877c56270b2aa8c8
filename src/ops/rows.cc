#include "ops/rows.h"

#include <atomic>
#include <bit>
#include <cstdint>

namespace mach::ops {
namespace {

// NaN and infinity have all bits of the exponent set. Compared as integers, so that the compiler
// vectorizes the loop.
bool FiniteValues(const float* x, size_t n) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t found = 0;
  for (size_t i = 0; i < n; ++i) {
    found |= (std::bit_cast<uint32_t>(x[i]) & kExponent) == kExponent ? 1 : 0;
  }
  return found == 0;
}

}  // namespace

bool AllFinite(Context& ctx, const float* x, size_t rows, size_t n) {
  std::atomic<bool> all{true};
  ctx.pool.ParallelFor(rows, RowGrain(n), [&](size_t begin, size_t end, size_t) {
    if (!FiniteValues(x + begin * n, (end - begin) * n))
      all.store(false, std::memory_order_relaxed);
  });
  return all.load(std::memory_order_relaxed);
}

}  // namespace mach::ops
