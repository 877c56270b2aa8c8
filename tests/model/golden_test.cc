// The forward pass in float32 against transformers' outputs for random-weight models of each
// family.
#include "golden_files.h"
#include "test_model.h"

namespace mach::test {
namespace {

struct Family {
  const char* name;
  float tolerance;  // maximum absolute difference
};

class Golden : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    const std::string dir = std::string("tests/goldens/") + GetParam().name;
    golden_ = std::make_unique<GoldenFile>(dir + "/golden.safetensors");
    model_ =
        TestModel::Load({.checkpoint = SourcePath(dir + "/hub"), .compute = ops::Compute::kF32});
    ids_ = golden_->Ints("input_ids");
  }
  std::unique_ptr<GoldenFile> golden_;
  std::unique_ptr<TestModel> model_;
  std::vector<int32_t> ids_;
};

TEST_P(Golden, OnePass) {
  Recorder seen(model_->config().layers.size(), model_->config().hidden);
  const auto state = model_->NewState();
  const auto logits = model_->Logits(model_->Hidden(ids_, *state, ids_.size(), &seen));
  const float difference = MaxDifference(logits, golden_->Floats("logits_full"));
  RecordProperty("logits_full", std::to_string(difference));
  EXPECT_LE(difference, GetParam().tolerance);
  for (size_t i = 0; i < seen.hidden_states.size(); ++i) {
    EXPECT_LE(MaxDifference(seen.hidden_states[i], golden_->Floats("hidden_" + std::to_string(i))),
              GetParam().tolerance)
        << "hidden_" << i;
  }
}

TEST_P(Golden, PrefillThenSteps) {
  const auto state = model_->NewState();
  auto logits = model_->Logits(std::span(ids_).first(48), *state, 48);
  logits.erase(logits.begin(), logits.end() - static_cast<std::ptrdiff_t>(model_->config().vocab));
  // Row j follows token 47 + j.
  for (size_t t = 48; t < 79; ++t) {
    const auto step = model_->Logits(std::span(ids_).subspan(t, 1), *state, 1);
    logits.insert(logits.end(), step.begin(), step.end());
  }
  EXPECT_LE(MaxDifference(logits, golden_->Floats("logits_step")), GetParam().tolerance);
}

TEST_P(Golden, ChunksAgreeBitForBit) {
  const auto whole_state = model_->NewState();
  const auto whole = model_->Logits(ids_, *whole_state, ids_.size());
  for (const size_t chunk : {1, 7, 64}) {
    const auto state = model_->NewState();
    EXPECT_EQ(model_->Logits(ids_, *state, chunk), whole) << "chunks of " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         testing::Values(Family{"qwen3_moe", 2e-5f}, Family{"qwen3_5_moe", 1e-4f}),
                         [](const auto& family) { return family.param.name; });

}  // namespace
}  // namespace mach::test
