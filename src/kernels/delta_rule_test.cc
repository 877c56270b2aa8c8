#include <limits>

#include <gtest/gtest.h>

#include "kernels/math.h"
#include "kernels/testing/kernel_fixture.h"

namespace mach::kernels {
namespace {

struct Inputs {
  size_t key_dim;
  size_t tokens;
  size_t qk_stride;
  size_t v_stride;
  std::vector<float> q, k, v, decay, beta;

  Inputs(size_t dim, size_t count)
      : key_dim(dim), tokens(count), qk_stride(dim + 3), v_stride(kLanes * 2) {
    const float unit = 1 / std::sqrt(static_cast<float>(dim));  // keys of norm about 1
    q = RandomFloats(tokens * qk_stride, 41, -unit, unit);
    k = RandomFloats(tokens * qk_stride, 42, -1.7f * unit, 1.7f * unit);
    v = RandomFloats(tokens * v_stride, 43);
    decay = RandomFloats(2 * tokens, 44, 0.5f, 1.0f);
    beta = RandomFloats(2 * tokens, 45, 0.0f, 1.0f);
  }
  std::vector<float> State() const { return RandomFloats(key_dim * kLanes, 46); }
};

// Steps [begin, end); the state in place, the outputs returned.
std::vector<float> RunSteps(const KernelTable& table, const Inputs& in, std::vector<float>& state,
                            size_t begin, size_t end, bool with_out = true) {
  std::vector<float> out((end - begin) * (kLanes + 1), -7.0f);
  DeltaRuleArgs args;
  args.state = state.data();
  args.key_dim = in.key_dim;
  args.tokens = end - begin;
  args.q = in.q.data() + begin * in.qk_stride;
  args.k = in.k.data() + begin * in.qk_stride;
  args.qk_stride = in.qk_stride;
  args.v = in.v.data() + begin * in.v_stride;
  args.v_stride = in.v_stride;
  args.decay = in.decay.data() + 2 * begin;
  args.beta = in.beta.data() + 2 * begin;
  args.gate_stride = 2;
  args.out = with_out ? out.data() : nullptr;
  args.out_stride = kLanes + 1;
  table.delta_rule(args);
  return out;
}

TEST(DeltaRule, EveryIsaEqualsTheScalarTable) {
  for (const size_t key_dim : {1, 2, 3, 4, 16, 30, 64, 128}) {
    for (const size_t tokens : {0, 1, 2, 17}) {
      const Inputs in(key_dim, tokens);
      std::vector<float> expected_state = in.State();
      const auto expected = RunSteps(Scalar(), in, expected_state, 0, tokens);
      ForVectorTables([&](const KernelTable& table, const std::string& isa) {
        std::vector<float> state = in.State();
        ExpectSameBits(expected, RunSteps(table, in, state, 0, tokens), isa);
        ExpectSameBits(expected_state, state, isa + " state");
      });
    }
  }
}

// Token by token, in chunks, or as a replay without outputs (DESIGN promise 1).
TEST(DeltaRule, NeitherChunksNorReplaysChangeABit) {
  const Inputs in(64, 12);
  for (const Isa isa : AvailableIsas()) {
    const KernelTable& table = **SelectKernels(isa);
    std::vector<float> whole_state = in.State();
    const auto whole = RunSteps(table, in, whole_state, 0, 12);
    for (const size_t chunk : {1, 5}) {
      std::vector<float> state = in.State();
      std::vector<float> out;
      for (size_t t = 0; t < 12; t += chunk) {
        const auto part = RunSteps(table, in, state, t, std::min<size_t>(12, t + chunk));
        out.insert(out.end(), part.begin(), part.end());
      }
      ExpectSameBits(whole, out, std::string(IsaName(isa)));
      ExpectSameBits(whole_state, state, std::string(IsaName(isa)));
    }
    std::vector<float> replayed = in.State();
    const auto untouched = RunSteps(table, in, replayed, 0, 12, false);
    ExpectSameBits(whole_state, replayed, std::string(IsaName(isa)) + " replay");
    EXPECT_EQ(untouched[0], -7.0f);
  }
}

// Against architectures.md 1.3 in double. A step multiplies the error in the state by at most 1
// (decay and beta below 1, keys of norm about 1) and adds a few eps / 2 of the magnitudes in it.
TEST(DeltaRule, ScalarAgreesWithAFloat64Oracle) {
  const Inputs in(128, 20);
  std::vector<float> state = in.State();
  std::vector<double> exact(state.begin(), state.end());
  const auto out = RunSteps(Scalar(), in, state, 0, in.tokens);
  const double eps = std::numeric_limits<float>::epsilon();
  for (size_t t = 0; t < in.tokens; ++t) {
    const double step_error =
        static_cast<double>(t + 1) * (static_cast<double>(in.key_dim) / 4 + 8) * eps / 2;
    for (size_t c = 0; c < kLanes; ++c) {
      double recalled = 0;
      double magnitude = std::abs(in.v[t * in.v_stride + c]);
      for (size_t i = 0; i < in.key_dim; ++i) {
        double& s = exact[i * kLanes + c];
        s *= in.decay[2 * t];
        recalled += s * in.k[t * in.qk_stride + i];
        magnitude += std::abs(s * in.k[t * in.qk_stride + i]);
      }
      const double delta = in.beta[2 * t] * (in.v[t * in.v_stride + c] - recalled);
      double o = 0;
      double o_magnitude = 0;
      for (size_t i = 0; i < in.key_dim; ++i) {
        double& s = exact[i * kLanes + c];
        s += in.k[t * in.qk_stride + i] * delta;
        o += s * in.q[t * in.qk_stride + i];
        o_magnitude += std::abs(s * in.q[t * in.qk_stride + i]);
      }
      EXPECT_NEAR(out[t * (kLanes + 1) + c], o, step_error * (magnitude + o_magnitude));
    }
  }
}

}  // namespace
}  // namespace mach::kernels
