#include <utility>

#include "kernels/targets.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_f32.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/lanes-inl.h"

// A micro-kernel takes a tile, or one vector of its outputs, and a few rows. The four sums of each
// output hide the latency of the additions.

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {
namespace {

using quant::kTileRows;
using tensor::DType;

// AVX2 has 16 vector registers, the others 32.
inline constexpr size_t kMaxRows = HWY_TARGET == HWY_AVX2 ? 2 : 4;
inline constexpr size_t kAheadBytes = 4096;  // the prefetch distance

// Sums of kVecs vectors of outputs (the parts from kFirst of a tile) for kRows rows.
template <size_t kVecs, size_t kRows>
struct Sums {
  V acc[4][kVecs][kRows];

  HWY_INLINE Sums() {
    MACH_UNROLL
    for (size_t i = 0; i < 4 * kVecs * kRows; ++i) {
      acc[i / (kVecs * kRows)][i / kRows % kVecs][i % kRows] = hn::Zero(D());
    }
  }
  // Adds column k, k % 4 == kSum, whose weights are w; x is x[0, k].
  template <size_t kSum>
  HWY_INLINE void Add(const V (&w)[kVecs], const float* x, size_t stride) {
    MACH_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const V xr = hn::Set(D(), x[r * stride]);
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        acc[kSum][v][r] = hn::MulAdd(xr, w[v], acc[kSum][v][r]);
      }
    }
  }
  HWY_INLINE V Total(size_t v, size_t r) const {
    return hn::Add(hn::Add(acc[0][v][r], acc[1][v][r]), hn::Add(acc[2][v][r], acc[3][v][r]));
  }
};

template <DType kType, size_t kVecs, size_t kRows>
HWY_INLINE void AddDense(const quant::TiledLayout& l, const std::byte* tile, size_t part,
                         const float* x, size_t stride, Sums<kVecs, kRows>& sums) {
  constexpr size_t kColumnBytes = kTileRows * (kType == DType::kF32 ? 4 : 2);
  const auto add = [&]<size_t kColumn>(std::integral_constant<size_t, kColumn>) HWY_ATTR {
    V w[kVecs];
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      w[v] = LoadTyped(kType, tile + kColumn * kColumnBytes, part + v);
    }
    sums.template Add<kColumn>(w, x + kColumn, stride);
  };
  size_t k = 0;
  for (; k + 4 <= l.cols; k += 4, x += 4, tile += 4 * kColumnBytes) {
    for (size_t i = 0; i < 4 * kColumnBytes; i += 64) __builtin_prefetch(tile + kAheadBytes + i);
    [&]<size_t... kColumn>(std::index_sequence<kColumn...>) HWY_ATTR {
      (add(std::integral_constant<size_t, kColumn>()), ...);
    }
    (std::make_index_sequence<4>());
  }
  if (k + 0 < l.cols) add(std::integral_constant<size_t, 0>());
  if (k + 1 < l.cols) add(std::integral_constant<size_t, 1>());
  if (k + 2 < l.cols) add(std::integral_constant<size_t, 2>());
}

// Column kColumn of the 8 (4 bits) or 4 (8 bits) in a vector of codes.
template <int kBits, size_t kColumn>
HWY_INLINE V Code(VI codes) {
  constexpr int kShift = kColumn % 4 * 8 + kColumn / 4 * 4;
  const hn::Rebind<uint32_t, D> du;
  const auto shifted = hn::ShiftRight<kShift>(hn::BitCast(du, codes));
  return hn::ConvertTo(D(),
                       hn::BitCast(DI(), hn::And(shifted, hn::Set(du, kBits == 4 ? 15u : 255u))));
}

// Weights as quant::UnpackRow has them: fma(code, scale, bias).
template <int kBits, size_t kVecs, size_t kRows>
HWY_INLINE void AddAffine(const quant::TiledLayout& l, const std::byte* tile, size_t part,
                          const float* x, size_t stride, Sums<kVecs, kRows>& sums) {
  constexpr size_t kStep = kBits == 4 ? 8 : 4;  // columns of 64 bytes
  const size_t half_header = kTileRows * (l.type == DType::kF32 ? 4 : 2);
  const auto group = static_cast<size_t>(l.group);
  for (size_t g = 0; g < l.cols / group; ++g) {
    V scale[kVecs];
    V bias[kVecs];
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      scale[v] = LoadTyped(l.type, tile, part + v);
      bias[v] = LoadTyped(l.type, tile + half_header, part + v);
    }
    tile += 2 * half_header;
    for (size_t c = 0; c < group; c += kStep, x += kStep, tile += 64) {
      __builtin_prefetch(tile + kAheadBytes);
      VI codes[kVecs];
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        codes[v] = hn::LoadU(DI(), reinterpret_cast<const int32_t*>(tile) + (part + v) * kPart);
      }
      const auto add = [&]<size_t kColumn>(std::integral_constant<size_t, kColumn>) HWY_ATTR {
        V w[kVecs];
        MACH_UNROLL
        for (size_t v = 0; v < kVecs; ++v) {
          w[v] = hn::MulAdd(Code<kBits, kColumn>(codes[v]), scale[v], bias[v]);
        }
        sums.template Add<kColumn % 4>(w, x + kColumn, stride);
      };
      [&]<size_t... kColumn>(std::index_sequence<kColumn...>) HWY_ATTR {
        (add(std::integral_constant<size_t, kColumn>()), ...);
      }
      (std::make_index_sequence<kStep>());
    }
  }
}

struct DenseF32 {
  template <class... Args>
  static HWY_INLINE void Run(Args&&... args) {
    AddDense<DType::kF32>(args...);
  }
};
struct DenseF16 {
  template <class... Args>
  static HWY_INLINE void Run(Args&&... args) {
    AddDense<DType::kF16>(args...);
  }
};
struct DenseBF16 {
  template <class... Args>
  static HWY_INLINE void Run(Args&&... args) {
    AddDense<DType::kBF16>(args...);
  }
};
template <int kBits>
struct Affine {
  template <class... Args>
  static HWY_INLINE void Run(Args&&... args) {
    AddAffine<kBits>(args...);
  }
};

struct Call {
  const quant::TiledMatrix* w;
  size_t tile_bytes;
  const FloatRows* x;
  const OutputRows* out;
};

// One tile, kRows rows from `row`. One row takes all vectors of the tile at once, so that the
// weights are read once; more take one vector after the other, for want of registers.
template <class Format, size_t kRows>
HWY_NOINLINE void Block(const Call& call, size_t tile, size_t row) {
  constexpr size_t kVecs = kRows == 1 ? kParts : 1;
  const quant::TiledLayout& l = call.w->layout;
  const std::byte* data = call.w->data + tile * call.tile_bytes;
  const float* x = call.x->data + row * call.x->stride;
  V total[kParts][kRows];
  MACH_UNROLL
  for (size_t part = 0; part < kParts; part += kVecs) {
    Sums<kVecs, kRows> sums;
    Format::Run(l, data, part, x, call.x->stride, sums);
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) total[part + v][r] = sums.Total(v, r);
    }
  }
  const size_t rest = l.rows - tile * kTileRows;
  for (size_t r = 0; r < kRows; ++r) {
    float* out = call.out->data + (row + r) * call.out->stride + tile * kTileRows;
    const Lanes lanes = ForParts([&](size_t i) HWY_ATTR { return total[i][r]; });
    if (rest >= kTileRows) {
      Store(lanes, out, All());
    } else {
      Store(lanes, out, rest);
    }
  }
}

template <class Format>
void Tiles(const Call& call, size_t begin, size_t end, size_t rows) {
  for (size_t tile = begin; tile < end; ++tile) {
    size_t row = 0;
    for (; row + kMaxRows <= rows; row += kMaxRows) Block<Format, kMaxRows>(call, tile, row);
    if constexpr (kMaxRows > 2) {
      if (row + 2 <= rows) {
        Block<Format, 2>(call, tile, row);
        row += 2;
      }
    }
    if (row < rows) Block<Format, 1>(call, tile, row);
  }
}

void MatmulF32(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end, const FloatRows& x,
               size_t rows, const OutputRows& out) {
  const quant::TiledLayout& l = w.layout;
  const Call call{&w, l.tile_bytes(), &x, &out};
  if (l.bits == 4) {
    Tiles<Affine<4>>(call, tile_begin, tile_end, rows);
  } else if (l.bits == 8) {
    Tiles<Affine<8>>(call, tile_begin, tile_end, rows);
  } else if (l.type == DType::kF32) {
    Tiles<DenseF32>(call, tile_begin, tile_end, rows);
  } else if (l.type == DType::kF16) {
    Tiles<DenseF16>(call, tile_begin, tile_end, rows);
  } else {
    Tiles<DenseBF16>(call, tile_begin, tile_end, rows);
  }
}

}  // namespace

constexpr MatmulF32Kernels kKernels = {.matmul_f32 = MatmulF32};

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#if HWY_ONCE
namespace mach::kernels {
const MatmulF32Kernels* MatmulF32For(Isa isa) { MACH_RETURN_PER_ISA(isa, kKernels); }
}  // namespace mach::kernels
#endif
