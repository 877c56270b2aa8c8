#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/targets.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/lanes-inl.h"

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {
namespace {

// Heads that share a load of K or V, and vectors of positions or dimensions that share a load of q
// or of a score: their product is the sums in registers, of which AVX2 has 16.
inline constexpr size_t kHeads = HWY_TARGET == HWY_AVX2 ? 2 : 4;
inline constexpr size_t kVecs = 4;
static_assert(kKvBlock % (kVecs * kPart) == 0);

inline constexpr float kLowest = -std::numeric_limits<float>::infinity();

template <bool kF16>
HWY_INLINE V LoadElements(const std::byte* p, size_t index) {
  if constexpr (kF16) return LoadF16(p + 2 * index);
  return LoadF32(p + 4 * index);
}

// Calls fn(head, std::integral_constant<size_t, n>) for groups of n heads.
template <class F>
HWY_INLINE void ForHeads(size_t heads, F fn) {
  size_t head = 0;
  for (; head + kHeads <= heads; head += kHeads) {
    fn(head, std::integral_constant<size_t, kHeads>());
  }
  if constexpr (kHeads > 2) {
    if (head + 2 <= heads) {
      fn(head, std::integral_constant<size_t, 2>());
      head += 2;
    }
  }
  if (head < heads) fn(head, std::integral_constant<size_t, 1>());
}

// scores[h][0, kKvBlock) = q[h] . k for one block.
template <bool kF16, size_t kCount>
HWY_INLINE void BlockScores(const float* q, size_t head_dim, const std::byte* k, float* scores,
                            size_t score_stride) {
  for (size_t p = 0; p < kKvBlock; p += kVecs * kPart) {
    V acc[kCount][kVecs];
    MACH_UNROLL
    for (size_t i = 0; i < kCount * kVecs; ++i) acc[i / kVecs][i % kVecs] = hn::Zero(D());
    for (size_t d = 0; d < head_dim; ++d) {
      V kd[kVecs];
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        kd[v] = LoadElements<kF16>(k, d * kKvBlock + p + v * kPart);
      }
      MACH_UNROLL
      for (size_t h = 0; h < kCount; ++h) {
        const V qd = hn::Set(D(), q[h * head_dim + d]);
        MACH_UNROLL
        for (size_t v = 0; v < kVecs; ++v) acc[h][v] = hn::MulAdd(qd, kd[v], acc[h][v]);
      }
    }
    MACH_UNROLL
    for (size_t h = 0; h < kCount; ++h) {
      MACH_UNROLL
      for (size_t v = 0; v < kVecs; ++v) {
        hn::StoreU(acc[h][v], D(), scores + h * score_stride + p + v * kPart);
      }
    }
  }
}

// kCountVecs vectors of dimensions from `dim`: out[h] = sum over positions of e[h][p] * v[p].
template <bool kF16, size_t kCount, size_t kCountVecs>
HWY_INLINE void WeightedValues(const AttentionArgs& a, size_t head, size_t dim, const float* scores,
                               size_t score_stride) {
  V acc[kCount][kCountVecs];
  MACH_UNROLL
  for (size_t i = 0; i < kCount * kCountVecs; ++i) {
    acc[i / kCountVecs][i % kCountVecs] = hn::Zero(D());
  }
  for (size_t p = a.first; p < a.positions;) {
    const std::byte* v = a.blocks[p / kKvBlock].v;
    const size_t end = HWY_MIN(a.positions, (p / kKvBlock + 1) * kKvBlock);
    for (; p < end; ++p) {
      V vd[kCountVecs];
      MACH_UNROLL
      for (size_t i = 0; i < kCountVecs; ++i) {
        vd[i] = LoadElements<kF16>(v, p % kKvBlock * a.head_dim + dim + i * kPart);
      }
      MACH_UNROLL
      for (size_t h = 0; h < kCount; ++h) {
        const V e = hn::Set(D(), scores[h * score_stride + p]);
        MACH_UNROLL
        for (size_t i = 0; i < kCountVecs; ++i) acc[h][i] = hn::MulAdd(e, vd[i], acc[h][i]);
      }
    }
  }
  MACH_UNROLL
  for (size_t h = 0; h < kCount; ++h) {
    MACH_UNROLL
    for (size_t i = 0; i < kCountVecs; ++i) {
      hn::StoreU(acc[h][i], D(), a.out + (head + h) * a.head_dim + dim + i * kPart);
    }
  }
}

// A dimension that belongs to no full vector.
template <bool kF16>
HWY_INLINE void WeightedValuesOfOne(const AttentionArgs& a, size_t head, size_t dim,
                                    const float* scores) {
  float acc = 0;
  for (size_t p = a.first; p < a.positions; ++p) {
    const std::byte* v = a.blocks[p / kKvBlock].v;
    const size_t index = p % kKvBlock * a.head_dim + dim;
    const float vd = kF16 ? tensor::LoadFloat(tensor::DType::kF16, v + 2 * index)
                          : tensor::LoadFloat(tensor::DType::kF32, v + 4 * index);
    acc = std::fma(scores[p], vd, acc);
  }
  a.out[head * a.head_dim + dim] = acc;
}

// The scores of positions that do not count become -infinity, then all exp(score - maximum).
HWY_INLINE void ExpScores(const AttentionArgs& a, size_t head, float* scores, size_t stride) {
  const size_t begin = a.first / kKvBlock * kKvBlock;
  for (size_t p = begin; p < a.first; ++p) scores[p] = kLowest;
  for (size_t p = a.positions; p < stride; ++p) scores[p] = kLowest;
  Lanes most_lanes = SetAll(kLowest);
  for (size_t p = begin; p < stride; p += kLanes) {
    most_lanes = Max(most_lanes, Load(scores + p, All()));
  }
  const float most = FoldMax(most_lanes);
  a.maximum[head] = most;
  const Lanes maximum = SetAll(most);
  Lanes sums = SetAll(0);
  for (size_t p = begin; p < stride; p += kLanes) {
    const Lanes e = Exp(Sub(Load(scores + p, All()), maximum));
    Store(e, scores + p, All());
    sums = Add(sums, e);
  }
  a.sum[head] = Fold(sums);
}

template <bool kF16>
void AttendSpan(const AttentionArgs& a) {
  const size_t stride = (a.positions + kKvBlock - 1) / kKvBlock * kKvBlock;
  ForHeads(a.heads, [&](size_t head, auto count) HWY_ATTR {
    float* scores = a.scores + head * stride;
    for (size_t block = a.first / kKvBlock; block * kKvBlock < a.positions; ++block) {
      BlockScores<kF16, count()>(a.q + head * a.head_dim, a.head_dim, a.blocks[block].k,
                                 scores + block * kKvBlock, stride);
    }
    for (size_t h = 0; h < count(); ++h) ExpScores(a, head + h, scores + h * stride, stride);
    size_t dim = 0;
    for (; dim + kVecs * kPart <= a.head_dim; dim += kVecs * kPart) {
      WeightedValues<kF16, count(), kVecs>(a, head, dim, scores, stride);
    }
    for (; dim + kPart <= a.head_dim; dim += kPart) {
      WeightedValues<kF16, count(), 1>(a, head, dim, scores, stride);
    }
    for (; dim < a.head_dim; ++dim) {
      for (size_t h = 0; h < count(); ++h) {
        WeightedValuesOfOne<kF16>(a, head + h, dim, scores + h * stride);
      }
    }
  });
}

void Attention(const AttentionArgs& args) {
  if (args.first >= args.positions) {
    for (size_t head = 0; head < args.heads; ++head) {
      args.maximum[head] = kLowest;
      args.sum[head] = 0;
    }
    for (size_t i = 0; i < args.heads * args.head_dim; ++i) args.out[i] = 0;
    return;
  }
  if (args.f16) {
    AttendSpan<true>(args);
  } else {
    AttendSpan<false>(args);
  }
}

void AttentionMerge(float* maximum, float* sum, float* out, const float* maximum2,
                    const float* sum2, const float* out2, size_t dim) {
  const MergeFactors f = FactorsOfMerge(*maximum, *maximum2);
  *maximum = f.maximum;
  *sum = std::fma(*sum2, f.second, *sum * f.first);
  const Lanes first = SetAll(f.first);
  const Lanes second = SetAll(f.second);
  ForLanes(dim, [&](size_t d, auto count) HWY_ATTR {
    Store(MulAdd(Load(out2 + d, count), second, Mul(Load(out + d, count), first)), out + d, count);
  });
}

void StoreKv(std::byte* k_block, std::byte* v_block, size_t position, const float* k,
             const float* v, size_t head_dim, bool f16) {
  if (!f16) {
    auto* columns = reinterpret_cast<float*>(k_block);
    for (size_t d = 0; d < head_dim; ++d) columns[d * kKvBlock + position] = k[d];
    std::memcpy(v_block + position * head_dim * 4, v, head_dim * 4);
    return;
  }
  const hn::Rebind<hwy::float16_t, D> d16;
  auto* columns = reinterpret_cast<uint16_t*>(k_block);
  auto* rows = reinterpret_cast<uint16_t*>(v_block) + position * head_dim;
  size_t d = 0;
  for (; d + kPart <= head_dim; d += kPart) {
    uint16_t halves[kPart];
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(D(), k + d)), d16,
               reinterpret_cast<hwy::float16_t*>(halves));
    for (size_t i = 0; i < kPart; ++i) columns[(d + i) * kKvBlock + position] = halves[i];
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(D(), v + d)), d16,
               reinterpret_cast<hwy::float16_t*>(rows + d));
  }
  for (; d < head_dim; ++d) {
    columns[d * kKvBlock + position] = tensor::F32ToF16(k[d]);
    rows[d] = tensor::F32ToF16(v[d]);
  }
}

}  // namespace

constexpr AttentionKernels kKernels = {
    .attention = Attention, .attention_merge = AttentionMerge, .store_kv = StoreKv};

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#if HWY_ONCE
namespace mach::kernels {
const AttentionKernels* AttentionFor(Isa isa) { MACH_RETURN_PER_ISA(isa, kKernels); }
}  // namespace mach::kernels
#endif
