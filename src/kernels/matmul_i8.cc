#include "kernels/targets.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_i8.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/lanes-inl.h"

// A micro-kernel takes kTiles tiles and kRows rows and goes through the columns once. Integer sums
// are exact, so their order is free, and differs between the targets.

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {
namespace {

using DU8 = hn::Repartition<uint8_t, DI>;
using VU8 = hn::Vec<DU8>;
inline constexpr size_t kVectorBytes = kPart * 4;

#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3
// Four tiles share the broadcast of an activation: loads, two a cycle, would bound fewer.
inline constexpr size_t kMaxTiles = 4;
inline constexpr size_t kMaxRows = 4;
#else
inline constexpr size_t kMaxTiles = 1;
inline constexpr size_t kMaxRows = 4;
#endif

// Up to so many rows are bound by memory: tiles one by one, as one stream, which the machine's own
// prefetchers see. Asking for lines in software costs more there than it brings.
inline constexpr size_t kStreamRows = 2;
// Dot products that such a row keeps under way in one vector of outputs.
#if HWY_TARGET == HWY_AVX3_DL
inline constexpr size_t kStreamChains = 4;
#else
inline constexpr size_t kStreamChains = 1;  // there are more vectors, or sums of 16 bits between
#endif

// Rows that share one pass over the tiles: their sums, their activations of a group and the group's
// codes fit into the first-level cache together.
inline constexpr size_t kPanelRows = 16;

HWY_INLINE VU8 LoadCodes(const uint8_t* p) { return hn::LoadU(DU8(), p); }
HWY_INLINE VU8 LowNibbles(VU8 codes) { return hn::And(codes, hn::Set(DU8(), 15)); }
HWY_INLINE VU8 HighNibbles(VU8 codes) {
  const hn::Repartition<uint16_t, DI> du16;
  return LowNibbles(hn::BitCast(DU8(), hn::ShiftRight<4>(hn::BitCast(du16, codes))));
}
// Four activations in every 32-bit lane.
HWY_INLINE VI Broadcast4(const int8_t* q) {
  int32_t four;
  hwy::CopyBytes<4>(q, &four);
  return hn::Set(DI(), four);
}

// Codes of kVecs vectors of outputs (kParts to a tile).
template <size_t kVecs>
struct Codes {
  const uint8_t* tile[kVecs / kParts];
  HWY_INLINE VU8 Get(size_t vec, size_t offset) const {
    return LoadCodes(tile[vec / kParts] + vec % kParts * kVectorBytes + offset);
  }
  HWY_INLINE void Advance(size_t bytes) {
    MACH_UNROLL
    for (size_t t = 0; t < kVecs / kParts; ++t) tile[t] += bytes;
  }
};

#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON

// acc + the dot product of four neighbouring bytes in each lane; w unsigned (below 16 on NEON), x
// signed.
HWY_INLINE VI Dot4(VI acc, VU8 w, VI x) {
#if HWY_TARGET == HWY_AVX3_DL
  // In place: through the intrinsic GCC 12 copies accumulators between registers.
  asm("vpdpbusd %2, %1, %0" : "+v"(acc.raw) : "v"(w.raw), "v"(x.raw));
  return acc;
#elif defined(__ARM_FEATURE_DOTPROD)
  return VI(vdotq_s32(acc.raw, vreinterpretq_s8_u8(w.raw), vreinterpretq_s8_s32(x.raw)));
#else
  const int8x16_t ws = vreinterpretq_s8_u8(w.raw);
  const int8x16_t xs = vreinterpretq_s8_s32(x.raw);
  const int16x8_t low = vmull_s8(vget_low_s8(ws), vget_low_s8(xs));
  const int16x8_t high = vmull_high_s8(ws, xs);
  return VI(vpadalq_s16(acc.raw, vpaddq_s16(low, high)));
#endif
}

#endif

#if HWY_TARGET == HWY_AVX3_DL

// Adds codes of 32 columns times the activations at q + r * stride to dots[c][v][r], whichever c:
// the sum over c is the dot product. Several chains hide the latency of an instruction.
template <int kBits, size_t kVecs, size_t kRows, size_t kChains>
HWY_INLINE void Accumulate32(const Codes<kVecs>& codes, const int8_t* q, size_t stride,
                             VI (&dots)[kChains][kVecs][kRows]) {
  constexpr size_t kColumns = kBits == 4 ? 8 : 4;
  constexpr size_t kProducts = kColumns / 4;  // products of a step
  MACH_UNROLL
  for (size_t step = 0; step < 32 / kColumns; ++step) {
    VU8 w[kVecs];
    VU8 high[kVecs];
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      w[v] = codes.Get(v, step * 64);
      if constexpr (kBits == 4) {
        high[v] = HighNibbles(w[v]);
        w[v] = LowNibbles(w[v]);
      }
    }
    MACH_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const int8_t* x = q + r * stride + step * kColumns;
      const VI first = Broadcast4(x);
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        VI& dot = dots[kProducts * step % kChains][v][r];
        dot = Dot4(dot, w[v], first);
      }
      if constexpr (kBits == 4) {
        const VI second = Broadcast4(x + 4);
        MACH_UNROLL
        for (size_t v = 0; v < kVecs; ++v) {
          VI& dot = dots[(kProducts * step + 1) % kChains][v][r];
          dot = Dot4(dot, high[v], second);
        }
      }
    }
  }
}

#elif HWY_TARGET == HWY_NEON

// As above. sdot is signed on both sides: 8-bit codes go as two nibbles.
template <int kBits, size_t kVecs, size_t kRows, size_t kChains>
HWY_INLINE void Accumulate32(const Codes<kVecs>& codes, const int8_t* q, size_t stride,
                             VI (&dots)[kChains][kVecs][kRows]) {
  auto& dot = dots[0];
  constexpr size_t kColumns = kBits == 4 ? 8 : 4;
  VI upper[kVecs][kRows];  // 8 bits: sums of the high nibbles
  if constexpr (kBits == 8) {
    for (size_t v = 0; v < kVecs; ++v) {
      for (size_t r = 0; r < kRows; ++r) upper[v][r] = hn::Zero(DI());
    }
  }
  for (size_t step = 0; step < 32 / kColumns; ++step) {
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      const VU8 w = codes.Get(v, step * 64);
      const VU8 low = LowNibbles(w);
      const VU8 high = HighNibbles(w);
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const int8_t* x = q + r * stride + step * kColumns;
        dot[v][r] = Dot4(dot[v][r], low, Broadcast4(x));
        if constexpr (kBits == 4) {
          dot[v][r] = Dot4(dot[v][r], high, Broadcast4(x + 4));
        } else {
          upper[v][r] = Dot4(upper[v][r], high, Broadcast4(x));
        }
      }
    }
  }
  if constexpr (kBits == 8) {
    for (size_t v = 0; v < kVecs; ++v) {
      for (size_t r = 0; r < kRows; ++r) {
        dot[v][r] = hn::Add(dot[v][r], hn::ShiftLeft<4>(upper[v][r]));
      }
    }
  }
}

#else  // AVX2, and AVX-512 without VNNI

using DI16 = hn::Repartition<int16_t, DI>;
using VI16 = hn::Vec<DI16>;

// w unsigned nibbles, x signed: two neighbouring products in each 16-bit lane, at most 3,840 in
// magnitude, so that a lane holds the sum of eight of them.
HWY_INLINE VI16 DotPairs(VU8 w, VI x) {
#if HWY_TARGET == HWY_AVX3
  return VI16{_mm512_maddubs_epi16(w.raw, x.raw)};
#else
  return VI16{_mm256_maddubs_epi16(w.raw, x.raw)};
#endif
}
// factor times the sum of the two 16-bit halves of each lane.
HWY_INLINE VI WidenPairs(VI16 pairs, int16_t factor) {
#if HWY_TARGET == HWY_AVX3
  return VI{_mm512_madd_epi16(pairs.raw, _mm512_set1_epi16(factor))};
#else
  return VI{_mm256_madd_epi16(pairs.raw, _mm256_set1_epi16(factor))};
#endif
}

// As above; maddubs saturates, so 8-bit codes go as two nibbles.
template <int kBits, size_t kVecs, size_t kRows, size_t kChains>
HWY_INLINE void Accumulate32(const Codes<kVecs>& codes, const int8_t* q, size_t stride,
                             VI (&dots)[kChains][kVecs][kRows]) {
  auto& dot = dots[0];
  VI16 pairs[kVecs][kRows];
  if constexpr (kBits == 4) {
    MACH_UNROLL
    for (size_t step = 0; step < 4; ++step) {
      VU8 low[kVecs];
      VU8 high[kVecs];
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        const VU8 w = codes.Get(v, step * 64);
        low[v] = LowNibbles(w);
        high[v] = HighNibbles(w);
      }
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const VI first = Broadcast4(q + r * stride + step * 8);
        const VI second = Broadcast4(q + r * stride + step * 8 + 4);
        MACH_UNROLL
        for (size_t v = 0; v < kVecs; ++v) {
          const VI16 sum = hn::Add(DotPairs(low[v], first), DotPairs(high[v], second));
          pairs[v][r] = step == 0 ? sum : hn::Add(pairs[v][r], sum);
        }
      }
    }
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        dot[v][r] = hn::Add(dot[v][r], WidenPairs(pairs[v][r], 1));
      }
    }
  } else {
    // One nibble after the other: both at once need twice the registers.
    MACH_UNROLL
    for (int nibble = 0; nibble < 2; ++nibble) {
      MACH_UNROLL
      for (size_t step = 0; step < 8; ++step) {
        VU8 w[kVecs];
        MACH_UNROLL
        for (size_t v = 0; v < kVecs; ++v) {
          const VU8 both = codes.Get(v, step * 64);
          w[v] = nibble == 0 ? LowNibbles(both) : HighNibbles(both);
        }
        MACH_UNROLL
        for (size_t r = 0; r < kRows; ++r) {
          const VI x = Broadcast4(q + r * stride + step * 4);
          MACH_UNROLL
          for (size_t v = 0; v < kVecs; ++v) {
            const VI16 sum = DotPairs(w[v], x);
            pairs[v][r] = step == 0 ? sum : hn::Add(pairs[v][r], sum);
          }
        }
      }
      const int16_t factor = nibble == 0 ? 1 : 16;
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        MACH_UNROLL
        for (size_t r = 0; r < kRows; ++r) {
          dot[v][r] = hn::Add(dot[v][r], WidenPairs(pairs[v][r], factor));
        }
      }
    }
  }
}

#endif

// What does not change over a call.
struct Call {
  const quant::TiledLayout* layout;
  size_t tile_bytes;
  size_t block_bytes;
  const QuantizedRows* x;
  const OutputRows* out;
};

// Writes 16 outputs of one row of a tile, those that exist.
HWY_INLINE void StoreTile(const Call& call, size_t tile, size_t row, const Lanes& acc) {
  float* out = call.out->data + row * call.out->stride + tile * quant::kTileRows;
  const size_t rest = call.layout->rows - tile * quant::kTileRows;
  if (rest >= quant::kTileRows) {
    Store(acc, out, All());
  } else {
    Store(acc, out, rest);
  }
}

template <size_t kChains, size_t kVecs, size_t kRows>
HWY_INLINE void Clear(VI (&dots)[kChains][kVecs][kRows]) {
  MACH_UNROLL
  for (size_t c = 0; c < kChains; ++c) {
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) dots[c][v][r] = hn::Zero(DI());
    }
  }
}

template <size_t kChains, size_t kVecs, size_t kRows>
HWY_INLINE V Total(const VI (&dots)[kChains][kVecs][kRows], size_t v, size_t r) {
  VI sum = dots[0][v][r];
  MACH_UNROLL
  for (size_t c = 1; c < kChains; ++c) sum = hn::Add(sum, dots[c][v][r]);
  return hn::ConvertTo(D(), sum);
}

// One tile for the first kRows rows, sums in registers: bound by memory.
template <int kBits, size_t kRows>
HWY_NOINLINE void Stream(const Call& call, const std::byte* data, size_t tile) {
  const tensor::DType type = call.layout->type;
  const size_t type_bytes = type == tensor::DType::kF32 ? 4 : 2;
  const size_t header_bytes = 2 * quant::kTileRows * type_bytes;
  const auto columns = static_cast<size_t>(call.layout->group);
  const size_t groups = call.layout->cols / columns;
  const size_t stride = call.x->q_stride;
  const size_t group_stride = call.x->group_stride;
  const int8_t* q = call.x->q;
  const float* x_scale = call.x->scale;
  const float* x_sum = call.x->sum;
  const std::byte* block = data + tile * call.tile_bytes;
  constexpr size_t kChains = std::max<size_t>(kStreamChains / kRows, 1);

  V sums[kParts][kRows];
  MACH_UNROLL
  for (size_t v = 0; v < kParts; ++v) {
    MACH_UNROLL
    for (size_t r = 0; r < kRows; ++r) sums[v][r] = hn::Zero(D());
  }
  for (size_t g = 0; g < groups; ++g, block += call.block_bytes) {
    VI dots[kChains][kParts][kRows];
    Clear(dots);
    Codes<kParts> codes;
    codes.tile[0] = reinterpret_cast<const uint8_t*>(block + header_bytes);
    for (size_t c = 0; c < columns; c += 32, q += 32) {
      Accumulate32<kBits>(codes, q, stride, dots);
      codes.Advance(32 * quant::kTileRows * kBits / 8);
    }
    MACH_UNROLL
    for (size_t v = 0; v < kParts; ++v) {
      const V scale = LoadTyped(type, block, v);
      const V bias = LoadTyped(type, block + header_bytes / 2, v);
      MACH_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const V xs = hn::Set(D(), x_scale[r * group_stride + g]);
        const V sum = hn::Set(D(), x_sum[r * group_stride + g]);
        const V with_dot = hn::MulAdd(Total(dots, v, r), hn::Mul(scale, xs), sums[v][r]);
        sums[v][r] = hn::MulAdd(bias, sum, with_dot);
      }
    }
  }
  MACH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    StoreTile(call, tile, r, ForParts([&](size_t i) HWY_ATTR { return sums[i][r]; }));
  }
}

// Scales or biases of one group as floats.
template <size_t kVecs>
HWY_INLINE void LoadHeader(const Call& call, const std::byte* block, size_t offset,
                           float (&out)[kVecs][kPart]) {
  MACH_UNROLL
  for (size_t v = 0; v < kVecs; ++v) {
    const std::byte* header = block + v / kParts * call.tile_bytes + offset;
    hn::Store(LoadTyped(call.layout->type, header, v % kParts), D(), out[v]);
  }
}

// One group of columns of kVecs vectors of outputs, and what the rows bring to it.
template <size_t kVecs>
struct Group {
  Codes<kVecs> codes;
  size_t columns;
  float (&scale)[kVecs][kPart];
  float (&bias)[kVecs][kPart];
  const int8_t* q;  // of row 0, as are the two below
  const float* x_scale;
  const float* x_sum;
};

// Adds the group to the sums of rows [row, row + kRows):
// sums[r][v] += scale * x_scale * dot + bias * x_sum.
template <int kBits, size_t kVecs, size_t kRows>
HWY_INLINE void AddGroup(const Group<kVecs>& group, size_t stride, size_t group_stride, size_t row,
                         float (*sums)[kVecs][kPart]) {
  VI dots[1][kVecs][kRows];
  Clear(dots);
  Codes<kVecs> codes = group.codes;
  const int8_t* q = group.q + row * stride;
  for (size_t c = 0; c < group.columns; c += 32, q += 32) {
    Accumulate32<kBits>(codes, q, stride, dots);
    codes.Advance(32 * quant::kTileRows * kBits / 8);
  }
  MACH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    const V x_scale = hn::Set(D(), group.x_scale[(row + r) * group_stride]);
    const V x_sum = hn::Set(D(), group.x_sum[(row + r) * group_stride]);
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) {
      float* sum = sums[row + r][v];
      const V scale = hn::Mul(hn::Load(D(), group.scale[v]), x_scale);
      const V with_dot = hn::MulAdd(Total(dots, v, r), scale, hn::Load(D(), sum));
      hn::Store(hn::MulAdd(hn::Load(D(), group.bias[v]), x_sum, with_dot), D(), sum);
    }
  }
}

// Tiles [tile, tile + kTiles) for up to kPanelRows rows from `row`: the tiles go through once,
// group by group, while the sums of all rows are in the first-level cache. next: the tiles that the
// caller goes on to, or null. They are asked of memory meanwhile, in the order of their addresses,
// which the machine's own prefetchers recognize and run ahead of, and into the second-level cache:
// few lines can be on their way to the first.
template <int kBits, size_t kTiles>
HWY_NOINLINE void Panel(const Call& call, const std::byte* data, size_t tile, size_t row,
                        size_t rows, const std::byte* next) {
  constexpr size_t kVecs = kTiles * kParts;
  const size_t type_bytes = call.layout->type == tensor::DType::kF32 ? 4 : 2;
  const size_t header_bytes = 2 * quant::kTileRows * type_bytes;
  const auto columns = static_cast<size_t>(call.layout->group);
  const size_t groups = call.layout->cols / columns;
  const size_t stride = call.x->q_stride;
  const size_t group_stride = call.x->group_stride;
  const std::byte* tiles = data + tile * call.tile_bytes;

  HWY_ALIGN float sums[kPanelRows][kVecs][kPart];
  HWY_ALIGN float scale[kVecs][kPart];
  HWY_ALIGN float bias[kVecs][kPart];
  for (size_t r = 0; r < rows; ++r) {
    MACH_UNROLL
    for (size_t v = 0; v < kVecs; ++v) hn::Store(hn::Zero(D()), D(), sums[r][v]);
  }
  for (size_t g = 0; g < groups; ++g) {
    const std::byte* block = tiles + g * call.block_bytes;
    if (next != nullptr) {
      const std::byte* part = next + g * kTiles * call.block_bytes;
      for (size_t i = 0; i < kTiles * call.block_bytes; i += 64) __builtin_prefetch(part + i, 0, 2);
    }
    LoadHeader(call, block, 0, scale);
    LoadHeader(call, block, header_bytes / 2, bias);
    Codes<kVecs> codes;
    MACH_UNROLL
    for (size_t t = 0; t < kTiles; ++t) {
      codes.tile[t] = reinterpret_cast<const uint8_t*>(block + t * call.tile_bytes + header_bytes);
    }
    const Group<kVecs> group{codes,
                             columns,
                             scale,
                             bias,
                             call.x->q + row * stride + g * columns,
                             call.x->scale + row * group_stride + g,
                             call.x->sum + row * group_stride + g};
    size_t r = 0;
    for (; r + kMaxRows <= rows; r += kMaxRows) {
      AddGroup<kBits, kVecs, kMaxRows>(group, stride, group_stride, r, sums);
    }
    if (r + 2 <= rows) {
      AddGroup<kBits, kVecs, 2>(group, stride, group_stride, r, sums);
      r += 2;
    }
    if (r < rows) AddGroup<kBits, kVecs, 1>(group, stride, group_stride, r, sums);
  }
  for (size_t r = 0; r < rows; ++r) {
    MACH_UNROLL
    for (size_t t = 0; t < kTiles; ++t) {
      StoreTile(call, tile + t, row + r, ForParts([&](size_t i) HWY_ATTR {
                  return hn::Load(D(), sums[r][t * kParts + i]);
                }));
    }
  }
}

// Tiles [tile, end) in steps of kTiles, as far as that goes; returns where it stopped.
template <int kBits, size_t kTiles>
HWY_INLINE size_t PanelTiles(const Call& call, const std::byte* data, size_t tile, size_t end,
                             size_t rows) {
  for (; tile + kTiles <= end; tile += kTiles) {
    // The thread's next call most likely goes on where this one ends.
    const bool last = tile + 2 * kTiles > call.layout->tiles();
    const std::byte* next = last ? nullptr : data + (tile + kTiles) * call.tile_bytes;
    for (size_t row = 0; row < rows; row += kPanelRows) {
      const size_t n = std::min(kPanelRows, rows - row);
      Panel<kBits, kTiles>(call, data, tile, row, n, row + n == rows ? next : nullptr);
    }
  }
  return tile;
}

template <int kBits>
void Tiles(const Call& call, const std::byte* data, size_t begin, size_t end, size_t rows) {
  if (rows > kStreamRows) {
    const size_t tile = PanelTiles<kBits, kMaxTiles>(call, data, begin, end, rows);
    if constexpr (kMaxTiles > 1) PanelTiles<kBits, 1>(call, data, tile, end, rows);
    return;
  }
  for (size_t tile = begin; tile < end; ++tile) {
    if (rows == 2) {
      Stream<kBits, 2>(call, data, tile);
    } else {
      Stream<kBits, 1>(call, data, tile);
    }
  }
}

void MatmulI8(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end,
              const QuantizedRows& x, size_t rows, const OutputRows& out) {
  const Call call{&w.layout, w.layout.tile_bytes(), w.layout.block_bytes(), &x, &out};
  if (w.layout.bits == 4) {
    Tiles<4>(call, w.data, tile_begin, tile_end, rows);
  } else {
    Tiles<8>(call, w.data, tile_begin, tile_end, rows);
  }
}

// 16 independent accumulators, as a micro-kernel has; no memory.
uint64_t ProbeDots(size_t rounds) {
  constexpr size_t kChains = 16;
  HWY_ALIGN static volatile uint8_t seed = 1;
  const VU8 w = hn::Set(DU8(), seed);
  const VI x = hn::BitCast(DI(), w);
  VI acc[kChains];
  MACH_UNROLL
  // Different starts: equal chains would be computed once.
  for (size_t i = 0; i < kChains; ++i) acc[i] = hn::Set(DI(), static_cast<int32_t>(i));
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON
  constexpr size_t kDots = 8;
  for (size_t n = 0; n < rounds; ++n) {
    MACH_UNROLL
    for (size_t step = 0; step < kDots; ++step) {
      MACH_UNROLL
      for (size_t i = 0; i < kChains; ++i) acc[i] = Dot4(acc[i], w, x);
    }
  }
#else
  // Eight steps between widenings, as in Accumulate32. The barrier keeps the compiler from seeing
  // that they are all alike.
  constexpr size_t kDots = 8;
  constexpr size_t kAtOnce = 4;
  for (size_t n = 0; n < rounds; ++n) {
    MACH_UNROLL
    for (size_t i = 0; i < kChains; i += kAtOnce) {
      VI16 pairs[kAtOnce];
      MACH_UNROLL
      for (size_t step = 0; step < kDots; ++step) {
        auto raw = w.raw;
        asm volatile("" : "+v"(raw));
        MACH_UNROLL
        for (size_t j = 0; j < kAtOnce; ++j) {
          asm volatile("" : "+v"(raw));
          const VI16 sum = DotPairs(VU8{raw}, x);
          pairs[j] = step == 0 ? sum : hn::Add(pairs[j], sum);
        }
      }
      MACH_UNROLL
      for (size_t j = 0; j < kAtOnce; ++j) {
        acc[i + j] = hn::Add(acc[i + j], WidenPairs(pairs[j], 1));
      }
    }
  }
#endif
  VI total = acc[0];
  MACH_UNROLL
  for (size_t i = 1; i < kChains; ++i) total = hn::Add(total, acc[i]);
  [[maybe_unused]] static volatile int32_t sink = 0;
  sink = hn::GetLane(hn::SumOfLanes(DI(), total));
  return uint64_t{rounds} * kDots * kChains * kVectorBytes;
}

}  // namespace

constexpr MatmulI8Kernels kKernels = {.matmul_i8 = MatmulI8, .probe_dots = ProbeDots};

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#if HWY_ONCE
namespace mach::kernels {
const MatmulI8Kernels* MatmulI8For(Isa isa) { MACH_RETURN_PER_ISA(isa, kKernels); }
}  // namespace mach::kernels
#endif
