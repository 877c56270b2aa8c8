#include <cmath>

#include "kernels/math.h"
#include "kernels/scalar.h"

namespace mach::kernels {
namespace {

void Step(const DeltaRuleArgs& a, size_t t) {
  const float* q = a.q + t * a.qk_stride;
  const float* k = a.k + t * a.qk_stride;
  const float decay = a.decay[t * a.gate_stride];
  const float beta = a.beta[t * a.gate_stride];
  for (size_t c = 0; c < kLanes; ++c) {
    float s[4] = {};
    for (size_t i = 0; i < a.key_dim; ++i) {
      s[i % 4] = std::fma(k[i], a.state[i * kLanes + c], s[i % 4]);
    }
    const float recalled = (s[0] + s[1]) + (s[2] + s[3]);
    const float delta = beta * std::fma(-decay, recalled, a.v[t * a.v_stride + c]);
    float o[4] = {};
    for (size_t i = 0; i < a.key_dim; ++i) {
      float& state = a.state[i * kLanes + c];
      state = std::fma(k[i], delta, state * decay);
      if (a.out != nullptr) o[i % 4] = std::fma(q[i], state, o[i % 4]);
    }
    if (a.out != nullptr) a.out[t * a.out_stride + c] = (o[0] + o[1]) + (o[2] + o[3]);
  }
}

void DeltaRule(const DeltaRuleArgs& args) {
  for (size_t t = 0; t < args.tokens; ++t) Step(args, t);
}

}  // namespace

const DeltaRuleKernels kScalarDeltaRule = {.delta_rule = DeltaRule};

}  // namespace mach::kernels
