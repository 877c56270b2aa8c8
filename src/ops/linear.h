// y = W x for rows of activations, with the activations quantized at most once per group size.
#pragma once

#include <array>
#include <initializer_list>
#include <span>

#include "ops/context.h"
#include "quant/tiled.h"

namespace mach::ops {

// Rows of float activations that several products share. Quantized forms are made on first use in
// the context's arena, and live as long as the scope in which they were made.
class Activations {
 public:
  // data: [rows, cols], row r at data + r * stride.
  Activations(const float* data, size_t rows, size_t cols, size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
  Activations(const float* data, size_t rows, size_t cols) : Activations(data, rows, cols, cols) {}

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  const float* row(size_t r) const { return data_ + r * stride_; }
  kernels::FloatRows floats() const { return {data_, stride_}; }

  // Codes, scales and sums for weights of this group size. REQUIRES: group divides cols.
  const kernels::QuantizedRows& Quantized(Context& ctx, size_t group);

  // Arena bytes that all quantized forms of such rows take at most.
  static size_t ScratchBytes(size_t rows, size_t cols);

 private:
  const float* data_;
  size_t rows_;
  size_t cols_;
  size_t stride_;
  std::array<kernels::QuantizedRows, 3> quantized_ = {};  // groups 32, 64, 128
};

// Whether this matrix is multiplied with integer dots under `compute`.
inline bool UsesInt8(const quant::TiledMatrix& w, Compute compute) {
  return compute == Compute::kInt8 && w.layout.affine();
}

struct Product {
  const quant::TiledMatrix* weight;
  kernels::OutputRows out;  // [rows, weight rows]
};

// All products of the same activations, split over the threads together. `compute` overrides the
// context's, for the parts that are always float32 (routers, gates).
void Linear(Context& ctx, Activations& x, std::initializer_list<Product> products, Compute compute);
inline void Linear(Context& ctx, Activations& x, std::initializer_list<Product> products) {
  Linear(ctx, x, products, ctx.compute);
}

// A rough price of one tile for `rows` rows, for TileWork: reading its bytes, or computing.
size_t TileCost(const quant::TiledLayout& layout, size_t rows);

}  // namespace mach::ops
