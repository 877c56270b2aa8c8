#include <algorithm>

#include "io/checkpoint.h"
#include "io/tensor_source.h"
#include "model/weights.h"
#include "quant/tiled.h"

namespace mach::model {
namespace {

// Rows are read in bands of about this many bytes, so that loading needs little beside the model.
constexpr uint64_t kBandBytes = uint64_t{4} << 20;

io::Slice Rows(const io::Slice& all, uint64_t rows, uint64_t begin, uint64_t count) {
  const uint64_t row_bytes = all.bytes / rows;
  return {all.file, all.offset + begin * row_bytes, count * row_bytes};
}

}  // namespace

quant::TiledLayout MatrixReader::LayoutOf(const io::MatrixSource& s) {
  return {static_cast<size_t>(s.rows), static_cast<size_t>(s.cols), s.type, s.bits, s.group};
}

Status MatrixReader::Read(const io::MatrixSource& source, std::byte* out,
                          const BandProgress& progress) {
  const quant::TiledLayout layout = LayoutOf(source);
  if (Status valid = quant::ValidateLayout(layout); !valid) {
    return std::move(valid).error().In(source.name);
  }
  const uint64_t row_bytes =
      (source.weight.bytes + source.scales.bytes + source.biases.bytes) / source.rows;
  const uint64_t band =
      std::max<uint64_t>(kBandBytes / std::max<uint64_t>(row_bytes, 1) / quant::kTileRows, 1) *
      quant::kTileRows;
  for (uint64_t begin = 0; begin < source.rows; begin += band) {
    const uint64_t rows = std::min(band, source.rows - begin);
    MACH_RETURN_IF_ERROR(Grow(staging_, rows * row_bytes));
    std::byte* at = staging_.data();
    const std::byte* parts[3] = {};
    size_t part = 0;
    for (const io::Slice* slice : {&source.weight, &source.scales, &source.biases}) {
      const io::Slice wanted = Rows(*slice, source.rows, begin, rows);
      if (Status read = checkpoint_.Read(wanted, {at, wanted.bytes}); !read) {
        return std::move(read).error().In(source.name);
      }
      parts[part++] = at;
      at += wanted.bytes;
    }
    quant::TiledLayout band_layout = layout;
    band_layout.rows = rows;
    std::byte* to = out + begin / quant::kTileRows * layout.tile_bytes();
    if (layout.affine()) {
      quant::PackAffine({.rows = rows,
                         .cols = layout.cols,
                         .bits = layout.bits,
                         .group = layout.group,
                         .scale_type = layout.type,
                         .packed = parts[0],
                         .scales = parts[1],
                         .biases = parts[2]},
                        to);
    } else {
      quant::PackDense(band_layout, parts[0], to);
    }
    const uint64_t tiles = (begin + rows + quant::kTileRows - 1) / quant::kTileRows;
    if (progress && !progress(tiles * layout.tile_bytes())) {
      return Error{Code::kCancelled, "loading was cancelled"};
    }
  }
  return Ok();
}

}  // namespace mach::model
