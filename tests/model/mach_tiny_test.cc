// mach-tiny, the trained demonstration model, against what transformers computes in float32 on the
// dequantized weights (golden-4bit), and its integer path against its exact one.
#include <cmath>
#include <cstdlib>

#include "golden_files.h"
#include "test_model.h"
#include "text/tokenizer.h"

namespace mach::test {
namespace {

constexpr TokenId kEndOfTurn = 2;

// MACH_TEST_BRIEF: where arithmetic is emulated, the texts of few tokens alone.
bool Brief() { return std::getenv("MACH_TEST_BRIEF") != nullptr; }
bool TooLong(std::span<const TokenId> ids) { return Brief() && ids.size() > 28; }

std::vector<double> LogSoftmax(std::span<const float> logits) {
  const double most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - most);
  const double norm = most + std::log(sum);
  std::vector<double> out(logits.begin(), logits.end());
  for (double& l : out) l -= norm;
  return out;
}

class MachTiny : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    exact_ = TestModel::Load(
        {.checkpoint = SourcePath("models/mach-tiny"), .compute = ops::Compute::kF32});
  }
  static void TearDownTestSuite() { exact_.reset(); }

  static std::vector<TokenId> Greedy(TestModel& model, std::span<const TokenId> prompt,
                                     size_t most) {
    const auto state = model.NewState();
    std::vector<float> hidden = model.Hidden(prompt, *state, 64);
    std::vector<TokenId> out;
    while (out.size() < most) {
      const auto last = std::span(hidden).last(model.config().hidden);
      out.push_back(Argmax(model.Logits(last)));
      if (out.back() == kEndOfTurn) break;
      hidden = model.Hidden({&out.back(), 1}, *state, 1);
    }
    return out;
  }

  static std::unique_ptr<TestModel> exact_;
};
std::unique_ptr<TestModel> MachTiny::exact_;

TEST_F(MachTiny, GoldenTexts) {
  const GoldenFile golden("tests/goldens/mach-tiny/golden-4bit.safetensors");
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  const size_t vocab = exact_->config().vocab;
  const size_t layers = exact_->config().layers.size();
  size_t choices = 0;
  size_t equal_choices = 0;
  double most_logit = 0;
  double most_logprob = 0;
  for (size_t i = 0; i < texts.AsArray().size(); ++i) {
    SCOPED_TRACE("text " + std::to_string(i));
    const std::vector<TokenId> ids = TokenIds(*texts.AsArray()[i].Find("input_ids"));
    if (TooLong(ids)) continue;
    const std::string prefix = std::to_string(i) + ".";
    Recorder seen(layers, exact_->config().hidden);
    const auto state = exact_->NewState();
    const std::vector<float> logits = exact_->Logits(exact_->Hidden(ids, *state, 256, &seen));
    const auto row = [&](size_t t) { return std::span(logits).subspan(t * vocab, vocab); };

    const std::vector<float> logprob_next = golden.Floats(prefix + "logprob_next");
    const std::vector<int32_t> argmax = golden.Ints(prefix + "argmax");
    for (size_t t = 0; t < ids.size(); ++t) {
      EXPECT_EQ(Argmax(row(t)), argmax[t]) << "at " << t;
      if (t + 1 == ids.size()) break;
      const double logprob = LogSoftmax(row(t))[static_cast<size_t>(ids[t + 1])];
      most_logprob =
          std::max(most_logprob, std::abs(logprob - static_cast<double>(logprob_next[t])));
    }
    most_logit =
        std::max(most_logit, static_cast<double>(MaxDifference(
                                 row(ids.size() - 1), golden.Floats(prefix + "logits_last"))));
    const std::vector<int32_t> experts = golden.Ints(prefix + "experts");
    const size_t per_layer = experts.size() / layers;
    for (size_t c = 0; c < experts.size(); ++c) {
      equal_choices += experts[c] == seen.experts[c / per_layer][c % per_layer] ? 1 : 0;
    }
    choices += experts.size();
  }
  RecordProperty("logits_last", std::to_string(most_logit));
  RecordProperty("logprob_next", std::to_string(most_logprob));
  std::printf("logits_last %.2g  logprob_next %.2g  experts %zu of %zu\n", most_logit, most_logprob,
              equal_choices, choices);
  EXPECT_LE(most_logit, 2e-4);
  EXPECT_LE(most_logprob, 2e-4);
  EXPECT_GE(static_cast<double>(equal_choices), 0.998 * static_cast<double>(choices));
}

TEST_F(MachTiny, GreedyContinuations) {
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  size_t continuations = 0;
  for (const json::Value& text : texts.AsArray()) {
    const std::vector<TokenId> expected = TokenIds(*text.Find("greedy"));
    const std::vector<TokenId> ids = TokenIds(*text.Find("input_ids"));
    if (expected.empty() || TooLong(ids)) continue;
    ++continuations;
    EXPECT_EQ(Greedy(*exact_, ids, expected.size()), expected);
  }
  EXPECT_EQ(continuations, Brief() ? 7u : 12u);
}

TEST_F(MachTiny, TokensDoNotDependOnThreadsChunksOrIsa) {
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  const std::vector<TokenId> ids = TokenIds(*texts.AsArray()[Brief() ? 0 : 8].Find("input_ids"));
  const auto logits = [&](const residency::LoadOptions& options, size_t chunk) {
    const auto model = TestModel::Load(options);
    const auto state = model->NewState();
    return model->Logits(ids, *state, chunk);
  };
  residency::LoadOptions options{.checkpoint = SourcePath("models/mach-tiny"), .threads = 1};
  const std::vector<float> reference = logits(options, 256);
  for (const size_t threads : {2, 3}) {
    options.threads = threads;
    EXPECT_EQ(logits(options, 256), reference) << threads << " threads";
  }
  for (const size_t chunk : {1, 16, 50})
    EXPECT_EQ(logits(options, chunk), reference) << "chunks of " << chunk;
  for (const kernels::Isa isa : kernels::AvailableIsas()) {
    options.isa = isa;
    EXPECT_EQ(logits(options, 64), reference) << kernels::IsaName(isa);
  }
}

// The production path's distance from the exact one over held-out text, read in windows that know
// nothing of each other.
TEST_F(MachTiny, IntegerActivationsStayClose) {
  if (Brief()) GTEST_SKIP() << "20,000 tokens take hours where arithmetic is emulated";
  constexpr size_t kTokens = 20000;
  constexpr size_t kWindow = 2000;
  constexpr size_t kChunk = 250;
  const auto integer = TestModel::Load({.checkpoint = SourcePath("models/mach-tiny")});
  const auto tokenizer = text::Tokenizer::FromJson(ReadText("models/mach-tiny/tokenizer.json"));
  ASSERT_TRUE(tokenizer.ok());
  std::vector<TokenId> ids = (*tokenizer)->Encode(ReadText("tests/goldens/mach-tiny/text.txt"));
  ASSERT_GE(ids.size(), kTokens);
  const size_t vocab = exact_->config().vocab;
  double kl = 0;
  double exact_nll = 0;
  double integer_nll = 0;
  size_t same = 0;
  const auto exact_state = exact_->NewState();
  const auto integer_state = integer->NewState();
  for (size_t at = 0; at < kTokens; at += kChunk) {
    if (at % kWindow == 0) {
      exact_state->Reset();
      integer_state->Reset();
    }
    const auto chunk = std::span<const TokenId>(ids).subspan(at, kChunk);
    const auto p = exact_->Logits(chunk, *exact_state, kChunk);
    const auto q = integer->Logits(chunk, *integer_state, kChunk);
    for (size_t t = 0; t < kChunk; ++t) {
      const auto p_row = std::span(p).subspan(t * vocab, vocab);
      const auto q_row = std::span(q).subspan(t * vocab, vocab);
      const auto log_p = LogSoftmax(p_row);
      const auto log_q = LogSoftmax(q_row);
      for (size_t v = 0; v < vocab; ++v) kl += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
      same += Argmax(p_row) == Argmax(q_row) ? 1 : 0;
      if (at + t + 1 == ids.size()) continue;
      const auto next = static_cast<size_t>(ids[at + t + 1]);
      exact_nll -= log_p[next];
      integer_nll -= log_q[next];
    }
  }
  kl /= kTokens;
  const double agreement = static_cast<double>(same) / kTokens;
  const double perplexity_ratio = std::exp((integer_nll - exact_nll) / kTokens);
  std::printf("mean KL %.3g, argmax agreement %.4f, perplexity %.4f exact, %.5f times that\n", kl,
              agreement, std::exp(exact_nll / kTokens), perplexity_ratio);
  EXPECT_LE(kl, 2e-3);
  EXPECT_GE(agreement, 0.985);
  EXPECT_NEAR(perplexity_ratio, 1.0, 0.01);
}

}  // namespace
}  // namespace mach::test
