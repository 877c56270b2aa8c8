// The engine's forward pass in float32 against the float64 reference, over what the golden files do
// not reach.
#include <cmath>

#include <gmock/gmock.h>

#include "json/write.h"
#include "model/test_model.h"
#include "reference/coverage_specs.h"
#include "reference/reference_model.h"
#include "reference/temporary_checkpoint.h"

namespace mach::reference {
namespace {

// Relative to the largest value of what is compared. Float32 rounds by 6e-8; a sum of n = 50 to 500
// products is off by about sqrt(n) of that times the size of one product, which relative to the
// largest of many sums is 1e-7. Some ten sums follow each other in a layer and their errors add up
// like a random walk over four layers: 6e-7, as seen (1.5e-7 to 6.4e-7). The gated norm of a delta
// net divides by the size of an output that may be small and so magnifies what came before it by
// up to ten (seen: 7e-7 to 3.2e-6). Both bounds leave a factor of five for other orders of
// summation. A norm's eps of 1e-5 for 1e-6 shows as 7e-6 and more in qwen3_moe, where it shows
// least; the wrong formulas that were tried show as 1e-1 and more.
double Tolerance(Family family) { return family == Family::kQwen3Moe ? 3e-6 : 1.5e-5; }

// Long enough for several chunks, tails of odd length and repeated tokens.
std::vector<int32_t> Tokens(size_t vocab) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < 33; ++i) tokens.push_back(static_cast<int32_t>(i * i * 7 % vocab));
  return tokens;
}

double RelativeError(std::span<const float> found, std::span<const double> expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  double error = 0;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double difference = std::abs(double{found[i]} - expected[i]);
    if (!(difference <= error)) error = difference;  // NaN stays
  }
  return error / largest;
}

// Biases of attention are in the reference alone: the engine refuses them by name.
class ForwardCoverage : public testing::TestWithParam<CheckpointSpec> {};

TEST_P(ForwardCoverage, AgreesWithTheReference) {
  const CheckpointSpec& spec = GetParam();
  const TemporaryCheckpoint checkpoint(spec);
  const auto reference = ReferenceModel::Load(checkpoint.directory());
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  const double tolerance = Tolerance(spec.family);
  const std::vector<int32_t> tokens = Tokens(spec.vocab);
  const Output expected = reference->Forward(tokens);
  for (const auto& layer : expected.router_gaps) {
    for (const double gap : layer) ASSERT_GT(gap, 1e-5) << "no order to hold a float32 pass to";
  }

  if (spec.attention_bias) {
    const auto loaded =
        residency::LoadedModel::Load(io::PosixFileSystem(), {.checkpoint = checkpoint.directory()});
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code, Code::kUnsupported);
    EXPECT_THAT(loaded.error().message, testing::HasSubstr("attention_bias"));
    return;
  }
  const auto model =
      test::TestModel::Load({.checkpoint = checkpoint.directory(), .compute = ops::Compute::kF32});
  for (const size_t chunk : {tokens.size(), size_t{5}}) {
    SCOPED_TRACE("chunks of " + std::to_string(chunk));
    test::Recorder seen(spec.layers, spec.hidden);
    const auto state = model->NewState();
    const auto logits = model->Logits(model->Hidden(tokens, *state, chunk, &seen));
    const double error = RelativeError(logits, expected.logits);
    RecordProperty("logits_" + std::to_string(chunk), json::FormatDouble(error));
    EXPECT_LE(error, tolerance) << "logits";
    for (size_t i = 0; i < expected.hidden.size(); ++i) {
      const double hidden = RelativeError(seen.hidden_states[i], expected.hidden[i]);
      RecordProperty("hidden_" + std::to_string(i) + "_" + std::to_string(chunk),
                     json::FormatDouble(hidden));
      EXPECT_LE(hidden, tolerance) << "hidden_" << i;
    }
    EXPECT_EQ(seen.experts, expected.experts);
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, ForwardCoverage, testing::ValuesIn(kCoverageSpecs),
                         [](const auto& spec) { return std::string(spec.param.name); });

}  // namespace
}  // namespace mach::reference
