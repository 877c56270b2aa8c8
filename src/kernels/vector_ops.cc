#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector_ops.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/lanes-inl.h"

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {
namespace {

void QuantizeRow(const float* x, size_t cols, size_t group, int8_t* q, float* scale, float* sum) {
  const D d;
  const DI di;
  const hn::Rebind<int8_t, D> di8;
  for (size_t g = 0; g < cols / group; ++g, x += group, q += group) {
    // Magnitudes compare as their bits do, where NaN is above infinity: none is lost.
    VI most_bits = hn::Zero(di);
    for (size_t i = 0; i < group; i += kPart) {
      most_bits = hn::Max(most_bits, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
    }
    const auto most = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(di, most_bits)));
    if (!(most >= kQuantizeLeast && most <= kQuantizeMost)) {
      for (size_t i = 0; i < group; ++i) q[i] = 0;
      scale[g] = sum[g] = ScaleWithoutCodes(most);
      continue;
    }
    const V inverse = hn::Set(d, 127.0f / most);
    const V magic = hn::Set(d, kRoundMagic);
    VI total = hn::Zero(di);
    for (size_t i = 0; i < group; i += kPart) {
      const V shifted = hn::Add(hn::Mul(hn::LoadU(d, x + i), inverse), magic);
      const VI codes = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, magic));
      total = hn::Add(total, codes);
      // Not TruncateTo, which Highway 1.0.3 gets wrong on AVX3_DL.
      hn::StoreU(hn::DemoteTo(di8, codes), di8, q + i);
    }
    scale[g] = most / 127.0f;
    sum[g] = scale[g] * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, total)));
  }
}

HWY_INLINE float SumOfSquares(const float* x, size_t n) {
  Lanes sums = SetAll(0);
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    const Lanes v = Load(x + i, count);
    sums = MulAdd(v, v, sums);
  });
  return Fold(sums);
}

void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* out) {
  const Lanes inverse = SetAll(InverseRoot(SumOfSquares(x, n) / static_cast<float>(n), eps));
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    Store(Mul(Mul(Load(x + i, count), inverse), Load(weight + i, count)), out + i, count);
  });
}

void RmsNormGated(const float* x, const float* weight, const float* z, float eps, size_t n,
                  float* out) {
  const Lanes inverse = SetAll(InverseRoot(SumOfSquares(x, n) / static_cast<float>(n), eps));
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    const Lanes normed = Mul(Mul(Load(x + i, count), inverse), Load(weight + i, count));
    Store(Mul(normed, Silu(Load(z + i, count))), out + i, count);
  });
}

void L2Norm(const float* x, float eps, float scale, size_t n, float* out) {
  const Lanes inverse = SetAll(InverseRoot(SumOfSquares(x, n), eps));
  const Lanes scales = SetAll(scale);
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    Store(Mul(Mul(Load(x + i, count), inverse), scales), out + i, count);
  });
}

void SiluMul(const float* gate, const float* up, size_t n, float* out) {
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    Store(Mul(Silu(Load(gate + i, count)), Load(up + i, count)), out + i, count);
  });
}

void SigmoidMulInPlace(float* x, const float* gate, size_t n) {
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    Store(SigmoidMul(Load(x + i, count), Load(gate + i, count)), x + i, count);
  });
}

void AddInPlace(float* x, const float* y, size_t n) {
  ForLanes(n, [&](size_t i, auto count)
                  HWY_ATTR { Store(Add(Load(x + i, count), Load(y + i, count)), x + i, count); });
}

void Axpy(float* x, float a, const float* y, size_t n) {
  const Lanes factor = SetAll(a);
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    Store(MulAdd(factor, Load(y + i, count), Load(x + i, count)), x + i, count);
  });
}

void Rope(float* head, const float* cos, const float* sin, size_t rotary) {
  const size_t half = rotary / 2;
  ForLanes(half, [&](size_t i, auto count) HWY_ATTR {
    const Lanes a = Load(head + i, count);
    const Lanes b = Load(head + half + i, count);
    const Lanes c = Load(cos + i, count);
    const Lanes s = Load(sin + i, count);
    Store(MulSub(a, c, Mul(b, s)), head + i, count);
    Store(MulAdd(b, c, Mul(a, s)), head + half + i, count);
  });
}

void Softmax(float* x, size_t n) {
  Lanes most_lanes = SetAll(x[0]);
  ForLanes(n, [&](size_t i, auto count)
                  HWY_ATTR { most_lanes = Max(most_lanes, Load(x + i, count, x[0])); });
  const Lanes most = SetAll(FoldMax(most_lanes));
  Lanes sums = SetAll(0);
  ForLanes(n, [&](size_t i, auto count) HWY_ATTR {
    const Lanes e = Exp(Sub(Load(x + i, count, -hwy::HighestValue<float>()), most));
    Store(e, x + i, count);
    sums = Add(sums, e);
  });
  const Lanes sum = SetAll(Fold(sums));
  ForLanes(
      n, [&](size_t i, auto count) HWY_ATTR { Store(Div(Load(x + i, count), sum), x + i, count); });
}

void ConvSilu(const float* const* rows, const float* weight, size_t taps, size_t channels,
              float* out) {
  ForLanes(channels, [&](size_t c, auto count) HWY_ATTR {
    Lanes acc = SetAll(0);
    for (size_t j = 0; j < taps; ++j) {
      acc = MulAdd(Load(weight + j * channels + c, count), Load(rows[j] + c, count), acc);
    }
    Store(Silu(acc), out + c, count);
  });
}

}  // namespace

constexpr VectorKernels kKernels = {.quantize_row = QuantizeRow,
                                    .rms_norm = RmsNorm,
                                    .rms_norm_gated = RmsNormGated,
                                    .l2_norm = L2Norm,
                                    .silu_mul = SiluMul,
                                    .sigmoid_mul = SigmoidMulInPlace,
                                    .add = AddInPlace,
                                    .axpy = Axpy,
                                    .rope = Rope,
                                    .softmax = Softmax,
                                    .conv_silu = ConvSilu};

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#if HWY_ONCE
namespace mach::kernels {
const VectorKernels* VectorKernelsFor(Isa isa) { MACH_RETURN_PER_ISA(isa, kKernels); }
}  // namespace mach::kernels
#endif
