#include "quant/tiled.h"

#include <cmath>
#include <cstring>

#include "base/check.h"

namespace mach::quant {
namespace {

using tensor::DType;
using tensor::DTypeBytes;
using tensor::DTypeName;

// Far above any model, far below what could overflow a size_t of bytes.
constexpr size_t kMaxRows = size_t{1} << 28;
constexpr size_t kMaxCols = size_t{1} << 24;

std::string Describe(const TiledLayout& l) {
  std::string s = "matrix [" + std::to_string(l.rows) + ", " + std::to_string(l.cols) + "] of " +
                  std::string(DTypeName(l.type));
  if (l.affine()) {
    s += ", " + std::to_string(l.bits) + " bits, group " + std::to_string(l.group);
  }
  return s;
}

Error Refuse(const TiledLayout& l, Code code, const std::string& why) {
  return Error{code, Describe(l) + ": " + why};
}

// Where code (row of the tile, column of the group) lies in the codes of a block.
size_t CodeByte(int bits, size_t row, size_t col) {
  const size_t columns = bits == 4 ? 8 : 4;  // of 64 bytes
  return col / columns * 64 + 4 * row + col % 4;
}
int CodeShift(int bits, size_t col) { return bits == 4 && col % 8 >= 4 ? 4 : 0; }

}  // namespace

size_t TiledLayout::block_bytes() const {
  return 2 * kTileRows * DTypeBytes(type) +
         kTileRows * static_cast<size_t>(group) * static_cast<size_t>(bits) / 8;
}

size_t TiledLayout::tile_bytes() const {
  return affine() ? groups() * block_bytes() : kTileRows * cols * DTypeBytes(type);
}

Status ValidateLayout(const TiledLayout& l) {
  if (l.type != DType::kF32 && l.type != DType::kBF16 && l.type != DType::kF16) {
    return Refuse(l, Code::kUnsupported, "weights and scales are F32, BF16 or F16");
  }
  if (l.rows == 0 || l.cols == 0) {
    return Refuse(l, Code::kCorrupt, "it is empty; check the shape of the tensor");
  }
  if (l.rows > kMaxRows || l.cols > kMaxCols) {
    return Refuse(l, Code::kUnsupported,
                  "at most " + std::to_string(kMaxRows) + " rows and " + std::to_string(kMaxCols) +
                      " columns are read");
  }
  if (!l.affine()) {
    if (l.group != 0) return Refuse(l, Code::kCorrupt, "a dense matrix has no groups");
    return Ok();
  }
  if (l.bits != 4 && l.bits != 8) {
    return Refuse(l, Code::kUnsupported, "affine weights of 4 and 8 bits are read");
  }
  if (l.group != 32 && l.group != 64 && l.group != 128) {
    return Refuse(l, Code::kUnsupported, "affine groups of 32, 64 and 128 are read");
  }
  if (l.cols % static_cast<size_t>(l.group) != 0) {
    return Refuse(l, Code::kCorrupt, "the group does not divide the columns");
  }
  return Ok();
}

void PackDense(const TiledLayout& layout, const std::byte* dense, std::byte* out) {
  MACH_CHECK(!layout.affine());
  const size_t size = DTypeBytes(layout.type);
  for (size_t tile = 0; tile < layout.tiles(); ++tile) {
    std::byte* to = out + tile * layout.tile_bytes();
    for (size_t r = 0; r < kTileRows; ++r) {
      const size_t row = tile * kTileRows + r;
      for (size_t k = 0; k < layout.cols; ++k) {
        std::byte* element = to + (k * kTileRows + r) * size;
        if (row < layout.rows) {
          std::memcpy(element, dense + (row * layout.cols + k) * size, size);
        } else {
          std::memset(element, 0, size);
        }
      }
    }
  }
}

void PackAffine(const AffineView& source, std::byte* out) {
  const TiledLayout layout = AffineLayout(source);
  const size_t size = DTypeBytes(layout.type);
  const size_t group = static_cast<size_t>(layout.group);
  std::memset(out, 0, layout.bytes());
  for (size_t row = 0; row < layout.rows; ++row) {
    const size_t r = row % kTileRows;
    std::byte* block = out + row / kTileRows * layout.tile_bytes();
    for (size_t g = 0; g < layout.groups(); ++g, block += layout.block_bytes()) {
      const size_t at = row * layout.groups() + g;
      std::memcpy(block + r * size, source.scales + at * size, size);
      std::memcpy(block + (kTileRows + r) * size, source.biases + at * size, size);
      std::byte* codes = block + 2 * kTileRows * size;
      for (size_t c = 0; c < group; ++c) {
        codes[CodeByte(layout.bits, r, c)] |= static_cast<std::byte>(
            AffineCode(source, row, g * group + c) << CodeShift(layout.bits, c));
      }
    }
  }
}

TiledLayout AffineLayout(const AffineView& source) {
  return {source.rows, source.cols, source.scale_type, source.bits, source.group};
}

void UnpackRow(const TiledMatrix& m, size_t row, std::span<float> out) {
  const TiledLayout& l = m.layout;
  MACH_DCHECK(row < l.rows && out.size() >= l.cols);
  const size_t size = DTypeBytes(l.type);
  const size_t r = row % kTileRows;
  const std::byte* tile = m.data + row / kTileRows * l.tile_bytes();
  if (!l.affine()) {
    for (size_t k = 0; k < l.cols; ++k) {
      out[k] = tensor::LoadFloat(l.type, tile + (k * kTileRows + r) * size);
    }
    return;
  }
  const size_t group = static_cast<size_t>(l.group);
  const auto mask = static_cast<std::byte>(l.bits == 4 ? 15 : 255);
  for (size_t g = 0; g < l.groups(); ++g, tile += l.block_bytes()) {
    const float scale = tensor::LoadFloat(l.type, tile + r * size);
    const float bias = tensor::LoadFloat(l.type, tile + (kTileRows + r) * size);
    const std::byte* codes = tile + 2 * kTileRows * size;
    for (size_t c = 0; c < group; ++c) {
      const std::byte code = codes[CodeByte(l.bits, r, c)] >> CodeShift(l.bits, c) & mask;
      out[g * group + c] = std::fma(static_cast<float>(std::to_integer<int>(code)), scale, bias);
    }
  }
}

}  // namespace mach::quant
