// Mark and Rollback: what is kept is bit-equal to having decoded just that.
#include <cstring>

#include "golden_files.h"
#include "test_model.h"

namespace mach::test {
namespace {

class Rollback : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string dir = std::string("tests/goldens/") + GetParam();
    model_ = TestModel::Load({.checkpoint = SourcePath(dir + "/hub")});
    ids_ = GoldenFile(dir + "/golden.safetensors").Ints("input_ids");
  }
  std::span<const TokenId> Ids(size_t begin, size_t count) const {
    return std::span<const TokenId>(ids_).subspan(begin, count);
  }
  std::unique_ptr<TestModel> model_;
  std::vector<TokenId> ids_;
};

constexpr size_t kPrompt = 20;
constexpr size_t kBlock = 8;

TEST_P(Rollback, KeptStepsEqualPlainSteps) {
  for (size_t kept = 0; kept <= kBlock; ++kept) {
    SCOPED_TRACE("kept " + std::to_string(kept));
    const auto plain = model_->NewState();
    const auto marked = model_->NewState();
    model_->Hidden(Ids(0, kPrompt), *plain, kPrompt);
    model_->Hidden(Ids(0, kPrompt), *marked, kPrompt);

    // The block goes through as rows of other tokens after the kept ones, as rejected drafts do.
    std::vector<TokenId> block(Ids(kPrompt, kBlock).begin(), Ids(kPrompt, kBlock).end());
    for (size_t i = kept; i < kBlock; ++i) block[i] = (block[i] + 7) % 256;
    ASSERT_TRUE(marked->Mark(kBlock).ok());
    const auto provisional = model_->Hidden(block, *marked, kBlock);
    marked->Rollback(kPrompt + kept);
    EXPECT_EQ(marked->length(), kPrompt + kept);

    if (kept > 0) {
      auto expected = model_->Hidden(Ids(kPrompt, kept), *plain, 1);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), provisional.begin()));
    }
    const auto rest = Ids(kPrompt + kept, 30);
    EXPECT_EQ(model_->Hidden(rest, *marked, 10), model_->Hidden(rest, *plain, 10));
    for (size_t i = 0; i < plain->shape().recurrent.size(); ++i) {
      const auto& a = plain->recurrent(i);
      const auto& b = marked->recurrent(i);
      EXPECT_EQ(std::memcmp(a.state, b.state, a.shape.state_floats() * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(a.history, b.history, a.shape.history_floats() * sizeof(float)), 0);
    }
  }
}

TEST_P(Rollback, SeveralPassesUnderOneMarkAndMarksInARow) {
  const auto plain = model_->NewState();
  const auto marked = model_->NewState();
  size_t at = 0;
  // Steps that wait for their replay when a larger mark comes, and marks that keep nothing.
  for (const auto& [steps, kept] :
       {std::pair<size_t, size_t>{4, 3}, {8, 0}, {2, 2}, {8, 5}, {16, 1}}) {
    SCOPED_TRACE("at " + std::to_string(at));
    ASSERT_TRUE(marked->Mark(steps).ok());
    const auto provisional = model_->Hidden(Ids(at, steps), *marked, 3);
    marked->Rollback(at + kept);
    if (kept != 0) {
      const auto expected = model_->Hidden(Ids(at, kept), *plain, kept);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), provisional.begin()));
    }
    at += kept;
  }
  EXPECT_EQ(model_->Hidden(Ids(at, 20), *marked, 20), model_->Hidden(Ids(at, 20), *plain, 20));
}

TEST_P(Rollback, TheContextIsALimit) {
  auto loaded = TestModel::Load(
      {.checkpoint = SourcePath(std::string("tests/goldens/") + GetParam() + "/hub"),
       .context_tokens = 30});
  const auto state = loaded->NewState();
  loaded->Hidden(Ids(0, 30), *state, 30);
  EXPECT_EQ(state->PrepareTokens(1).error().code, Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Families, Rollback, testing::Values("qwen3_moe", "qwen3_5_moe"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace mach::test
