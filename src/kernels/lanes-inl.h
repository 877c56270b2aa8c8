// Sixteen float lanes in as many vectors as the target needs, and the functions of math.h on them.
// Compiled once per target; see Highway's *-inl.h convention for the guard.
#include "hwy/highway.h"
#include "kernels/math.h"
#include "kernels/targets.h"
#include "tensor/dtype.h"

#if defined(MACH_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MACH_KERNELS_LANES_INL_H_
#undef MACH_KERNELS_LANES_INL_H_
#else
#define MACH_KERNELS_LANES_INL_H_
#endif

// MACH_RETURN_PER_ISA(isa, name); returns &N_xxx::name for the target of isa, else nullptr. For
// HWY_ONCE, outside of every target's attributes.
#define MACH_RETURN_PER_ISA(isa, name) \
  do {                                 \
    switch (isa) {                     \
      MACH_CASE_AVX2(name)             \
      MACH_CASE_AVX3(name)             \
      MACH_CASE_AVX3_DL(name)          \
      MACH_CASE_NEON(name)             \
      default:                         \
        return nullptr;                \
    }                                  \
  } while (false)
#undef MACH_CASE_AVX2
#undef MACH_CASE_AVX3
#undef MACH_CASE_AVX3_DL
#undef MACH_CASE_NEON
#if HWY_TARGETS & HWY_AVX2
#define MACH_CASE_AVX2(name) \
  case Isa::kAvx2:           \
    return &N_AVX2::name;
#else
#define MACH_CASE_AVX2(name)
#endif
#if HWY_TARGETS & HWY_AVX3
#define MACH_CASE_AVX3(name) \
  case Isa::kAvx512:         \
    return &N_AVX3::name;
#else
#define MACH_CASE_AVX3(name)
#endif
#if HWY_TARGETS & HWY_AVX3_DL
#define MACH_CASE_AVX3_DL(name) \
  case Isa::kAvx512Vnni:        \
    return &N_AVX3_DL::name;
#else
#define MACH_CASE_AVX3_DL(name)
#endif
#if HWY_TARGETS & HWY_NEON
#define MACH_CASE_NEON(name) \
  case Isa::kNeon:           \
    return &N_NEON::name;
#else
#define MACH_CASE_NEON(name)
#endif

// Before a loop over registers, whose count is a constant.
#undef MACH_UNROLL
#if defined(__clang__)
#define MACH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MACH_UNROLL _Pragma("GCC unroll 16")
#endif

#if HWY_TARGET == HWY_AVX3_DL
// Highway 1.0.3 names AVX-VNNI here, of which AVX-512 VNNI is independent.
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                                           \
  HWY_TARGET_STR_AVX3                                                            \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avxvnni,avx512bitalg,avx512vpopcntdq" \
  ",avx512vnni"
#endif

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, kLanes>;
using V = hn::Vec<D>;
inline constexpr size_t kPart = hn::MaxLanes(D());  // lanes of one vector
inline constexpr size_t kParts = kLanes / kPart;
using DI = hn::Rebind<int32_t, D>;
using VI = hn::Vec<DI>;

struct Lanes {
  V part[kParts];
};

// The count of a full load or store; a size_t below 16 for the tail of a vector.
struct All {};

template <class F>
HWY_INLINE Lanes ForParts(F f) {
  Lanes out;
  MACH_UNROLL
  for (size_t i = 0; i < kParts; ++i) out.part[i] = f(i);
  return out;
}

HWY_INLINE Lanes SetAll(float x) {
  return ForParts([&](size_t) HWY_ATTR { return hn::Set(D(), x); });
}
HWY_INLINE Lanes Load(const float* p, All) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::LoadU(D(), p + i * kPart); });
}
// The lanes past the tail are `fill`.
HWY_INLINE Lanes Load(const float* p, size_t count, float fill = 0.0f) {
  float buffer[kLanes];
  for (size_t i = 0; i < kLanes; ++i) buffer[i] = i < count ? p[i] : fill;
  return Load(buffer, All());
}
HWY_INLINE Lanes Load(const float* p, All, float /*fill*/) { return Load(p, All()); }
HWY_INLINE void Store(const Lanes& x, float* p, All) {
  MACH_UNROLL
  for (size_t i = 0; i < kParts; ++i) hn::StoreU(x.part[i], D(), p + i * kPart);
}
HWY_INLINE void Store(const Lanes& x, float* p, size_t count) {
  float buffer[kLanes];
  Store(x, buffer, All());
  for (size_t i = 0; i < count; ++i) p[i] = buffer[i];
}

// Calls f(i, All()) for each full 16 of n elements, then f(i, rest) for what remains.
template <class F>
HWY_INLINE void ForLanes(size_t n, F f) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, All());
  if (i < n) f(i, n - i);
}

HWY_INLINE Lanes Add(const Lanes& a, const Lanes& b) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::Add(a.part[i], b.part[i]); });
}
HWY_INLINE Lanes Sub(const Lanes& a, const Lanes& b) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::Sub(a.part[i], b.part[i]); });
}
HWY_INLINE Lanes Mul(const Lanes& a, const Lanes& b) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::Mul(a.part[i], b.part[i]); });
}
HWY_INLINE Lanes Div(const Lanes& a, const Lanes& b) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::Div(a.part[i], b.part[i]); });
}
HWY_INLINE Lanes Max(const Lanes& a, const Lanes& b) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::Max(a.part[i], b.part[i]); });
}
// fma(a, b, c)
HWY_INLINE Lanes MulAdd(const Lanes& a, const Lanes& b, const Lanes& c) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::MulAdd(a.part[i], b.part[i], c.part[i]); });
}
// fma(a, b, -c)
HWY_INLINE Lanes MulSub(const Lanes& a, const Lanes& b, const Lanes& c) {
  return ForParts([&](size_t i) HWY_ATTR { return hn::MulSub(a.part[i], b.part[i], c.part[i]); });
}

HWY_INLINE float Fold(const Lanes& x) {
  float sums[kLanes];
  Store(x, sums, All());
  return FoldSums(sums);
}
HWY_INLINE float FoldMax(const Lanes& x) {
  V most = x.part[0];
  MACH_UNROLL
  for (size_t i = 1; i < kParts; ++i) most = hn::Max(most, x.part[i]);
  return hn::GetLane(hn::MaxOfLanes(D(), most));
}

HWY_INLINE V PowerOfTwo(VI n) {
  return hn::BitCast(D(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(DI(), 127))));
}

HWY_INLINE V Exp(V x) {
  const D d;
  const DI di;
  const V low = hn::Set(d, kExpLow);
  const V high = hn::Set(d, kExpHigh);
  const V magic = hn::Set(d, kRoundMagic);
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  x = hn::IfThenElse(hn::Gt(x, high), high, x);
  const V shifted = hn::MulAdd(x, hn::Set(d, kLog2E), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::MulAdd(n, hn::Set(d, kNegLn2High), x);
  r = hn::MulAdd(n, hn::Set(d, kNegLn2Low), r);
  V p = hn::MulAdd(r, hn::Set(d, kExpP5), hn::Set(d, kExpP4));
  p = hn::MulAdd(r, p, hn::Set(d, kExpP3));
  p = hn::MulAdd(r, p, hn::Set(d, kExpP2));
  p = hn::MulAdd(r, p, hn::Set(d, kExpP1));
  p = hn::MulAdd(r, p, hn::Set(d, kExpP0));
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
  const VI integer = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, magic));
  const VI half = hn::ShiftRight<1>(integer);
  return hn::Mul(hn::Mul(p, PowerOfTwo(half)), PowerOfTwo(hn::Sub(integer, half)));
}
HWY_INLINE Lanes Exp(const Lanes& x) {
  return ForParts([&](size_t i) HWY_ATTR { return Exp(x.part[i]); });
}
HWY_INLINE Lanes SigmoidMul(const Lanes& x, const Lanes& gate) {
  return ForParts([&](size_t i) HWY_ATTR {
    return hn::Div(x.part[i], hn::Add(hn::Set(D(), 1.0f), Exp(hn::Neg(gate.part[i]))));
  });
}
HWY_INLINE Lanes Silu(const Lanes& x) { return SigmoidMul(x, x); }

// One vector of weights or scales of a float type, widened.
HWY_INLINE V LoadF32(const std::byte* p) {
  return hn::LoadU(D(), reinterpret_cast<const float*>(p));
}
HWY_INLINE V LoadF16(const std::byte* p) {
  const hn::Rebind<hwy::float16_t, D> d16;
  return hn::PromoteTo(D(), hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
}
HWY_INLINE V LoadBF16(const std::byte* p) {
  const hn::Rebind<hwy::bfloat16_t, D> d16;
  return hn::PromoteTo(D(), hn::LoadU(d16, reinterpret_cast<const hwy::bfloat16_t*>(p)));
}
// Vector `part` of 16 elements at p.
HWY_INLINE V LoadTyped(tensor::DType type, const std::byte* p, size_t part) {
  if (type == tensor::DType::kBF16) return LoadBF16(p + 2 * kPart * part);
  if (type == tensor::DType::kF16) return LoadF16(p + 2 * kPart * part);
  return LoadF32(p + 4 * kPart * part);
}

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#endif  // per-target guard
