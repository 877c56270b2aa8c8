// Ops that treat each row by itself.
#pragma once

#include <cstddef>

#include "ops/context.h"

namespace mach::ops {

// out[r, :] = rms(x[r, :]) * weight over n columns; out may be x.
inline void RmsNorm(Context& ctx, const float* x, size_t rows, size_t n, const float* weight,
                    float eps, float* out) {
  ctx.pool.ParallelFor(rows, 4, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r)
      ctx.kernels.rms_norm(x + r * n, weight, eps, n, out + r * n);
  });
}

// x += y, both [rows, n].
inline void Add(Context& ctx, float* x, const float* y, size_t rows, size_t n) {
  ctx.pool.ParallelFor(rows, 4, [&](size_t begin, size_t end, size_t) {
    ctx.kernels.add(x + begin * n, y + begin * n, (end - begin) * n);
  });
}

}  // namespace mach::ops
