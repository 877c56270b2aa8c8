// A forward pass of a model whose experts are resident allocates nothing once passes like it have
// run.
#include "base/testing/allocations.h"
#include "golden_files.h"
#include "test_model.h"

namespace mach::test {
namespace {

class SteadyState : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    model_ = TestModel::Load({.checkpoint = SourcePath(GetParam())});
    state_ = model_->NewState();
    hidden_.resize(kPrompt * model_->config().hidden);
    logits_.resize(kDraft * model_->config().vocab);
    Forward(kPrompt, false);
  }

  // Passes `rows` tokens and computes the logits of the first ones. Returns its allocations.
  uint64_t Forward(size_t rows, bool draft) {
    std::vector<TokenId> tokens(rows);
    for (size_t i = 0; i < rows; ++i) {
      tokens[i] = static_cast<TokenId>((state_->length() + i) * 37 % 200 + 5);
    }
    const uint64_t before = Allocations();
    model::Workspace& ws = model_->loaded().workspace();
    const model::Model& model = model_->loaded().model();
    const bool ok =
        model.Forward(ws, {.tokens = tokens, .draft = draft}, *state_, hidden_.data()).ok() &&
        model.Logits(ws, hidden_.data(), std::min(rows, kDraft), logits_.data()).ok();
    const uint64_t allocations = Allocations() - before;
    EXPECT_TRUE(ok);
    return allocations;
  }

  static constexpr size_t kPrompt = 20;
  static constexpr size_t kDraft = 5;
  std::unique_ptr<TestModel> model_;
  std::unique_ptr<cache::SequenceState> state_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
};

TEST_P(SteadyState, DecodePassesAllocateNothing) {
  Forward(1, false);
  while (state_->length() < 3 * cache::kBlockTokens) {
    // The first position of a KV block brings the block.
    const bool new_block = state_->length() % cache::kBlockTokens == 0;
    const uint64_t allocations = Forward(1, false);
    if (!new_block) {
      ASSERT_EQ(allocations, 0u) << "position " << state_->length() - 1;
    }
  }
}

TEST_P(SteadyState, PassesWithDraftsAllocateNothing) {
  for (size_t pass = 0; pass < 8; ++pass) {
    const size_t length = state_->length();
    ASSERT_LE(length + kDraft, cache::kBlockTokens);
    ASSERT_TRUE(state_->Mark(kDraft).ok());
    const uint64_t allocations = Forward(kDraft, true);
    model_->loaded().workspace().CommitRows(2);
    state_->Rollback(length + 2);
    if (pass > 0) {
      EXPECT_EQ(allocations, 0u) << "pass " << pass;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SteadyState,
                         testing::Values("models/mach-tiny", "tests/goldens/qwen3_moe/hub",
                                         "tests/goldens/qwen3_5_moe/hub"),
                         [](const auto& model) { return std::to_string(model.index); });

}  // namespace
}  // namespace mach::test
