#include "ops/linear.h"

#include "base/check.h"
#include "kernels/table.h"
#include "ops/rows.h"

namespace mach::ops {
namespace {

size_t GroupIndex(size_t group) { return group == 32 ? 0 : group == 64 ? 1 : 2; }

}  // namespace

size_t Activations::ScratchBytes(size_t rows, size_t cols) {
  size_t bytes = 0;
  for (const size_t group : {32, 64, 128}) {
    bytes +=
        Arena::Footprint<int8_t>(rows * cols) + 2 * Arena::Footprint<float>(rows * (cols / group));
  }
  return bytes;
}

const kernels::QuantizedRows& Activations::Quantized(Context& ctx, size_t group) {
  kernels::QuantizedRows& q = quantized_[GroupIndex(group)];
  if (q.q != nullptr) return q;
  const size_t groups = cols_ / group;
  auto* codes = ctx.arena.Take<int8_t>(rows_ * cols_);
  auto* scales = ctx.arena.Take<float>(rows_ * groups);
  auto* sums = ctx.arena.Take<float>(rows_ * groups);
  ctx.pool.ParallelFor(rows_, RowGrain(cols_, 2), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      ctx.kernels.quantize_row(row(r), cols_, group, codes + r * cols_, scales + r * groups,
                               sums + r * groups);
    }
  });
  q = {codes, scales, sums, cols_, groups};
  return q;
}

size_t TileCost(const quant::TiledLayout& layout, size_t rows) {
  return layout.cols / 64 * (rows + 4) + 1;
}

void Linear(Context& ctx, Activations& x, std::initializer_list<Product> products,
            Compute compute) {
  TileWork& work = ctx.tiles;
  work.Clear();
  for (const Product& p : products) {
    MACH_DCHECK(p.weight->layout.cols == x.cols());
    if (UsesInt8(*p.weight, compute)) x.Quantized(ctx, static_cast<size_t>(p.weight->layout.group));
    work.Add(p.weight->layout.tiles(), TileCost(p.weight->layout, x.rows()));
  }
  work.Run(ctx.pool, [&](size_t i, size_t begin, size_t end) {
    const Product& p = *(products.begin() + i);
    if (UsesInt8(*p.weight, compute)) {
      const auto group = static_cast<size_t>(p.weight->layout.group);
      ctx.kernels.matmul_i8(*p.weight, begin, end, x.Quantized(ctx, group), x.rows(), p.out);
    } else {
      ctx.kernels.matmul_f32(*p.weight, begin, end, x.floats(), x.rows(), p.out);
    }
  });
}

}  // namespace mach::ops
