// Matrix products: out[r, n] = sum over k of W[n, k] * x[r, k].
#pragma once

#include <array>
#include <initializer_list>
#include <span>

#include "kernels/table.h"
#include "ops/context.h"
#include "quant/tiled.h"

namespace mach::ops {

// Rows of activations [rows, cols] that several products share, and their quantized forms: codes of
// 8 bits with a scale and a sum per group of columns (kernels::QuantizedRows), one form per group
// size. A form is made on first use, in the context's arena; it is valid until the ArenaScope in
// which it was made ends, and so is the object. Used by the thread that runs the op.
class Activations {
 public:
  // Row r begins at data + r * stride. The data are not copied.
  Activations(const float* data, size_t rows, size_t cols, size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
  Activations(const float* data, size_t rows, size_t cols) : Activations(data, rows, cols, cols) {}

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  const float* row(size_t r) const { return data_ + r * stride_; }
  kernels::FloatRows floats() const { return {data_, stride_}; }

  // The form for weights of this group size: 32, 64 or 128. REQUIRES: group divides cols.
  const kernels::QuantizedRows& Quantized(Context& ctx, size_t group);

  // Arena bytes that all forms of such rows take together.
  static size_t ScratchBytes(size_t rows, size_t cols);

 private:
  const float* data_;
  size_t rows_;
  size_t cols_;
  size_t stride_;
  std::array<kernels::QuantizedRows, 3> quantized_ = {};  // groups 32, 64, 128
};

// Whether products with this matrix are integer dot products under `compute`.
inline bool UsesInt8(const quant::TiledMatrix& w, Compute compute) {
  return compute == Compute::kInt8 && w.layout.affine();
}

struct Product {
  const quant::TiledMatrix* weight;
  kernels::OutputRows out;  // [rows, weight rows]
};

// Computes several products of the same activations, whose tiles are split over the threads
// together. REQUIRES: every weight has x.cols() columns. `compute` replaces the context's: routers
// and gates are float32 always.
void Linear(Context& ctx, Activations& x, std::initializer_list<Product> products, Compute compute);
inline void Linear(Context& ctx, Activations& x, std::initializer_list<Product> products) {
  Linear(ctx, x, products, ctx.compute);
}

// Estimated cost of one tile (quant::kTileRows weight rows) times `rows` activation rows, for
// TileWork. The unit is one activation row times 64 columns of a tile; to read the tile costs as
// much as four rows.
size_t TileCost(const quant::TiledLayout& layout, size_t rows);

}  // namespace mach::ops
