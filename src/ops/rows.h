// Ops that treat each row by itself.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/context.h"

namespace mach::ops {

// Rows, of so many values each, that are worth handing to another thread: a hand-over costs a few
// microseconds, and a thread passes a few thousand values in one. `work`: how much more than a
// multiplication is done to a value.
inline size_t RowGrain(size_t values, size_t work = 1) {
  constexpr size_t kValues = 16384;
  return std::max<size_t>(kValues / (values * work), 1);
}

// out[r, :] = rms(x[r, :]) * weight over n columns; out may be x.
inline void RmsNorm(Context& ctx, const float* x, size_t rows, size_t n, const float* weight,
                    float eps, float* out) {
  ctx.pool.ParallelFor(rows, RowGrain(n), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r)
      ctx.kernels.rms_norm(x + r * n, weight, eps, n, out + r * n);
  });
}

// Whether every value of x, [rows, n], is finite.
bool AllFinite(Context& ctx, const float* x, size_t rows, size_t n);

// x += y, both [rows, n].
inline void Add(Context& ctx, float* x, const float* y, size_t rows, size_t n) {
  ctx.pool.ParallelFor(rows, RowGrain(n), [&](size_t begin, size_t end, size_t) {
    ctx.kernels.add(x + begin * n, y + begin * n, (end - begin) * n);
  });
}

}  // namespace mach::ops
