#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/delta_rule.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/lanes-inl.h"

#if MACH_VECTOR_TARGET
HWY_BEFORE_NAMESPACE();
namespace mach::kernels::HWY_NAMESPACE {
namespace {

// A panel's four partial sums over the key dimension.
struct Sums {
  Lanes part[4];

  HWY_INLINE Sums() : part{SetAll(0), SetAll(0), SetAll(0), SetAll(0)} {}

  HWY_INLINE Lanes Total() const { return Add(Add(part[0], part[1]), Add(part[2], part[3])); }
};

// Calls fn(i, sum) for i < n, sum = i % 4 known where fn is inlined.
template <class F>
HWY_INLINE void ForKeys(size_t n, F fn) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    fn(i, 0);
    fn(i + 1, 1);
    fn(i + 2, 2);
    fn(i + 3, 3);
  }
  if (i < n) fn(i, 0);
  if (i + 1 < n) fn(i + 1, 1);
  if (i + 2 < n) fn(i + 2, 2);
}

// S^T k
HWY_INLINE Lanes Recall(const float* state, const float* k, size_t key_dim) {
  Sums sums;
  ForKeys(key_dim, [&](size_t i, size_t s) HWY_ATTR {
    sums.part[s] = MulAdd(SetAll(k[i]), Load(state + i * kLanes, All()), sums.part[s]);
  });
  return sums.Total();
}

// One pass over the state: decays it, adds k delta^T and returns S^T q where kOut; and S^T next_k,
// the recall of the following step, where kNext.
struct Step {
  Lanes out;
  Lanes recalled;
};
template <bool kOut, bool kNext>
HWY_INLINE Step Update(float* state, float decay, const float* k, const Lanes& delta,
                       const float* q, const float* next_k, size_t key_dim) {
  const Lanes decays = SetAll(decay);
  Sums out;
  Sums next;
  ForKeys(key_dim, [&](size_t i, size_t s) HWY_ATTR {
    float* row = state + i * kLanes;
    const Lanes updated = MulAdd(SetAll(k[i]), delta, Mul(Load(row, All()), decays));
    Store(updated, row, All());
    if constexpr (kOut) out.part[s] = MulAdd(SetAll(q[i]), updated, out.part[s]);
    if constexpr (kNext) next.part[s] = MulAdd(SetAll(next_k[i]), updated, next.part[s]);
  });
  return {out.Total(), next.Total()};
}

template <bool kOut>
void Steps(const DeltaRuleArgs& a) {
  Lanes recalled = Recall(a.state, a.k, a.key_dim);
  for (size_t t = 0; t < a.tokens; ++t) {
    const float* k = a.k + t * a.qk_stride;
    const float* q = a.q + t * a.qk_stride;
    const float decay = a.decay[t * a.gate_stride];
    const Lanes v = Load(a.v + t * a.v_stride, All());
    const Lanes delta = Mul(SetAll(a.beta[t * a.gate_stride]), MulAdd(SetAll(-decay), recalled, v));
    const Step step =
        t + 1 < a.tokens
            ? Update<kOut, true>(a.state, decay, k, delta, q, k + a.qk_stride, a.key_dim)
            : Update<kOut, false>(a.state, decay, k, delta, q, nullptr, a.key_dim);
    if constexpr (kOut) Store(step.out, a.out + t * a.out_stride, All());
    recalled = step.recalled;
  }
}

void DeltaRule(const DeltaRuleArgs& args) {
  if (args.tokens == 0) return;
  if (args.out != nullptr) {
    Steps<true>(args);
  } else {
    Steps<false>(args);
  }
}

}  // namespace

constexpr DeltaRuleKernels kKernels = {.delta_rule = DeltaRule};

}  // namespace mach::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // MACH_VECTOR_TARGET

#if HWY_ONCE
namespace mach::kernels {
const DeltaRuleKernels* DeltaRuleFor(Isa isa) { MACH_RETURN_PER_ISA(isa, kKernels); }
}  // namespace mach::kernels
#endif
