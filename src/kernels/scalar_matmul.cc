#include <cmath>

#include "kernels/math.h"
#include "kernels/scalar.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::kernels {
namespace {

using quant::kTileRows;

// Calls fn(row of the tile, row of the matrix) for the rows of a tile that exist.
template <class F>
void ForTileRows(const quant::TiledLayout& l, size_t tile, F fn) {
  for (size_t r = 0; r < kTileRows && tile * kTileRows + r < l.rows; ++r) {
    fn(r, tile * kTileRows + r);
  }
}

int32_t Dot(const quant::TiledLayout& l, const std::byte* codes, size_t r, const int8_t* q) {
  int32_t dot = 0;
  const size_t columns = l.bits == 4 ? 8 : 4;  // of 64 bytes
  for (size_t k = 0; k < static_cast<size_t>(l.group); k += columns, codes += 64, q += columns) {
    for (size_t i = 0; i < 4; ++i) {
      const auto byte = std::to_integer<int32_t>(codes[4 * r + i]);
      dot += l.bits == 8 ? byte * q[i] : (byte & 15) * q[i] + (byte >> 4) * q[i + 4];
    }
  }
  return dot;
}

void MatmulI8(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end,
              const QuantizedRows& x, size_t rows, const OutputRows& out) {
  const quant::TiledLayout& l = w.layout;
  const size_t size = tensor::DTypeBytes(l.type);
  const size_t group = static_cast<size_t>(l.group);
  for (size_t tile = tile_begin; tile < tile_end; ++tile) {
    ForTileRows(l, tile, [&](size_t r, size_t row) {
      for (size_t i = 0; i < rows; ++i) {
        const std::byte* block = w.data + tile * l.tile_bytes();
        float acc = 0;
        for (size_t g = 0; g < l.groups(); ++g, block += l.block_bytes()) {
          const float scale = tensor::LoadFloat(l.type, block + r * size);
          const float bias = tensor::LoadFloat(l.type, block + (kTileRows + r) * size);
          const int32_t dot =
              Dot(l, block + 2 * kTileRows * size, r, x.q + i * x.q_stride + g * group);
          const size_t at = i * x.group_stride + g;
          acc = std::fma(static_cast<float>(dot), scale * x.scale[at], acc);
          acc = std::fma(bias, x.sum[at], acc);
        }
        out.data[i * out.stride + row] = acc;
      }
    });
  }
}

// Weight (row r of the tile, column k), as quant::UnpackRow gives it.
float Weight(const quant::TiledLayout& l, const std::byte* tile, size_t r, size_t k) {
  const size_t size = tensor::DTypeBytes(l.type);
  if (!l.affine()) return tensor::LoadFloat(l.type, tile + (k * kTileRows + r) * size);
  const size_t group = static_cast<size_t>(l.group);
  const std::byte* block = tile + k / group * l.block_bytes();
  const std::byte* codes = block + 2 * kTileRows * size;
  const size_t c = k % group;
  int code = 0;
  if (l.bits == 8) {
    code = std::to_integer<int>(codes[c / 4 * 64 + 4 * r + c % 4]);
  } else {
    code = std::to_integer<int>(codes[c / 8 * 64 + 4 * r + c % 4]) >> (c % 8 / 4 * 4) & 15;
  }
  return std::fma(static_cast<float>(code), tensor::LoadFloat(l.type, block + r * size),
                  tensor::LoadFloat(l.type, block + (kTileRows + r) * size));
}

void MatmulF32(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end, const FloatRows& x,
               size_t rows, const OutputRows& out) {
  const quant::TiledLayout& l = w.layout;
  for (size_t tile = tile_begin; tile < tile_end; ++tile) {
    const std::byte* data = w.data + tile * l.tile_bytes();
    ForTileRows(l, tile, [&](size_t r, size_t row) {
      for (size_t i = 0; i < rows; ++i) {
        float a[4] = {};
        for (size_t k = 0; k < l.cols; ++k) {
          a[k % 4] = std::fma(x.data[i * x.stride + k], Weight(l, data, r, k), a[k % 4]);
        }
        out.data[i * out.stride + row] = (a[0] + a[1]) + (a[2] + a[3]);
      }
    });
  }
}

}  // namespace

const MatmulI8Kernels kScalarMatmulI8 = {.matmul_i8 = MatmulI8};
const MatmulF32Kernels kScalarMatmulF32 = {.matmul_f32 = MatmulF32};

}  // namespace mach::kernels
