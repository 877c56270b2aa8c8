// The layout in which every kernel reads a weight matrix, in memory and in the sidecar.
//
// A matrix [rows, cols] is cut into tiles of kTileRows = 16 output rows, so that one 512-bit vector
// holds one number of each row of a tile; the last tile is padded with zeros. Tiles follow each
// other; a tile is contiguous and is read from front to back.
//
// Dense (f32, bf16, f16): for k = 0 .. cols-1: 16 elements, w[row 0..15 of the tile, k].
//
// Affine, `bits` 4 or 8, group g: for each group of g columns a block
//   scales  16 x scale_type    biases  16 x scale_type
//   codes   4 bits: for each 8 columns k..k+7 of the group 64 bytes; byte 4*r + i holds
//                   q[r, k + i] in its low nibble and q[r, k + 4 + i] in its high nibble, i = 0..3
//           8 bits: for each 4 columns k..k+3 of the group 64 bytes; byte 4*r + i holds q[r, k + i]
// which is the operand order of the byte dot products (vpdpbusd, sdot): four neighbouring columns
// of a row in one 32-bit lane. With 16-bit scales and g = 64 a 4-bit block is 576 bytes, 4.5 bits a
// weight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "quant/affine.h"
#include "tensor/dtype.h"

namespace mach::quant {

inline constexpr size_t kTileRows = 16;
// Names the layout above in sidecar manifests; a change of layout is a new name.
inline constexpr std::string_view kTileLayoutName = "t16-v1";

// What a tiled matrix is made of. bits == 0: dense, of `type`. bits 4 or 8: affine, scales of
// `type`.
struct TiledLayout {
  size_t rows = 0;
  size_t cols = 0;
  tensor::DType type = tensor::DType::kF32;
  int bits = 0;
  int group = 0;

  bool affine() const { return bits != 0; }
  size_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  size_t groups() const { return affine() ? cols / static_cast<size_t>(group) : 0; }
  size_t block_bytes() const;  // of one group of one tile (affine)
  size_t tile_bytes() const;
  size_t bytes() const { return tiles() * tile_bytes(); }
  bool operator==(const TiledLayout&) const = default;
};

// Refuses what no kernel reads: bits other than 4 and 8, group other than 32, 64 and 128, columns
// that the group does not divide, types other than f32, bf16 and f16, empty or huge matrices.
Status ValidateLayout(const TiledLayout& layout);

// A matrix in memory. data is 64-byte aligned and holds layout.bytes().
struct TiledMatrix {
  TiledLayout layout;
  const std::byte* data = nullptr;
};

// Fill out (layout.bytes()) from the checkpoint's own layout. dense: [rows, cols] row-major of
// `type`.
void PackDense(const TiledLayout& layout, const std::byte* dense, std::byte* out);
void PackAffine(const AffineView& source, std::byte* out);

// Layout of PackAffine's output.
TiledLayout AffineLayout(const AffineView& source);

// The values of one row, as every f32 kernel sees them (AffineValue, or the converted element).
void UnpackRow(const TiledMatrix& m, size_t row, std::span<float> out);

}  // namespace mach::quant
