// Ops on rows [rows, n] that are independent of each other.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/context.h"

namespace mach::ops {

// Grain of ThreadPool::ParallelFor over rows of `values` values: the rows whose work outweighs a
// hand-over to another thread, which costs some microseconds. `work`: cost of one value, in
// multiplications.
inline size_t RowGrain(size_t values, size_t work = 1) {
  constexpr size_t kValues = 16384;
  return std::max<size_t>(kValues / (values * work), 1);
}

// out[r, i] = x[r, i] / sqrt(mean over i of x[r, i]^2 + eps) * weight[i]. out may be x.
inline void RmsNorm(Context& ctx, const float* x, size_t rows, size_t n, const float* weight,
                    float eps, float* out) {
  ctx.pool.ParallelFor(rows, RowGrain(n), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r)
      ctx.kernels.rms_norm(x + r * n, weight, eps, n, out + r * n);
  });
}

// Whether no value of x [rows, n] is NaN or infinite.
bool AllFinite(Context& ctx, const float* x, size_t rows, size_t n);

// x[r, i] += y[r, i], both [rows, n].
inline void Add(Context& ctx, float* x, const float* y, size_t rows, size_t n) {
  ctx.pool.ParallelFor(rows, RowGrain(n), [&](size_t begin, size_t end, size_t) {
    ctx.kernels.add(x + begin * n, y + begin * n, (end - begin) * n);
  });
}

}  // namespace mach::ops
