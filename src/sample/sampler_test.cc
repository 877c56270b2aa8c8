#include "sample/sampler.h"

#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

namespace mach::sample {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// How often each token is drawn over n positions.
std::map<TokenId, int> Draws(const Params& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params, logits.size());
  std::map<TokenId, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.Choose(logits, static_cast<uint64_t>(i))];
  return counts;
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  Sampler sampler({.temperature = 0}, 4);
  EXPECT_EQ(sampler.Choose(std::vector<float>{1, 3, 3, 2}, 0), 1);
  EXPECT_EQ(sampler.Choose(std::vector<float>{NAN, -kInf, -5, NAN}, 0), 2);
}

TEST(Sampler, ADrawIsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits = {0.1f, 0.2f, 0.3f, 0.0f, 0.25f};
  Sampler a({.seed = 7}, logits.size());
  Sampler b({.seed = 7}, logits.size());
  std::vector<TokenId> forward;
  for (uint64_t p = 0; p < 50; ++p) forward.push_back(a.Choose(logits, p));
  for (uint64_t p = 50; p-- > 0;) EXPECT_EQ(b.Choose(logits, p), forward[p]);
  EXPECT_NE(Draws({.seed = 7}, logits, 50), Draws({.seed = 8}, logits, 50));
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const int n = 20000;
  auto counts = Draws({.temperature = 1, .seed = 3}, logits, n);
  EXPECT_NEAR(counts[0], n * 0.5, 4 * std::sqrt(n * 0.25));
  EXPECT_NEAR(counts[2], n * 0.2, 4 * std::sqrt(n * 0.16));
  // At temperature 0.5 probabilities are squared and renormalised: 25, 9, 4 of 38.
  counts = Draws({.temperature = 0.5f, .seed = 3}, logits, n);
  EXPECT_NEAR(counts[0], n * 25.0 / 38, 4 * std::sqrt(n * 0.25));
}

TEST(Sampler, FiltersKeepWhatTheyShould) {
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f), std::log(0.05f),
                                     std::log(0.3f)};
  const auto tokens = [&](const Params& p) {
    std::vector<TokenId> out;
    for (const auto& [token, count] : Draws(p, logits, 3000)) out.push_back(token);
    return out;
  };
  EXPECT_EQ(tokens({}), (std::vector<TokenId>{0, 1, 2, 3}));
  EXPECT_EQ(tokens({.top_k = 2}), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(tokens({.top_k = 1}), (std::vector<TokenId>{1}));
  EXPECT_EQ(tokens({.top_p = 0.79f}), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(tokens({.top_p = 0.81f}), (std::vector<TokenId>{0, 1, 3}));
  EXPECT_EQ(tokens({.top_p = 0.01f}), (std::vector<TokenId>{1}));
  EXPECT_EQ(tokens({.min_p = 0.2f}), (std::vector<TokenId>{0, 1, 3}));
  EXPECT_EQ(tokens({.min_p = 1}), (std::vector<TokenId>{1}));
  // top-p counts what top-k left: of 0.5 and 0.3, 0.5 is 62.5 %.
  EXPECT_EQ(tokens({.top_k = 2, .top_p = 0.6f}), (std::vector<TokenId>{1}));
}

TEST(Sampler, PenaltiesAndBias) {
  const std::vector<float> logits = {2, 1.9f, -1};
  Params p{.temperature = 0, .repetition_penalty = 1.2f};
  Sampler repetition(p, 3);
  repetition.AcceptPrompt(std::vector<TokenId>{0});
  EXPECT_EQ(repetition.Choose(logits, 0), 1);  // 2 / 1.2 < 1.9

  Sampler presence({.temperature = 0, .presence_penalty = 0.5f}, 3);
  presence.AcceptPrompt(std::vector<TokenId>{0});  // the prompt does not count
  EXPECT_EQ(presence.Choose(logits, 0), 0);
  presence.Accept(0);
  EXPECT_EQ(presence.Choose(logits, 0), 1);

  Sampler frequency({.temperature = 0, .frequency_penalty = 0.06f}, 3);
  frequency.Accept(0);
  EXPECT_EQ(frequency.Choose(logits, 0), 0);
  frequency.Accept(0);
  EXPECT_EQ(frequency.Choose(logits, 0), 1);

  Sampler bias({.temperature = 0, .logit_bias = {{2, 100.0f}}}, 3);
  EXPECT_EQ(bias.Choose(logits, 0), 2);
  EXPECT_EQ(Draws({.logit_bias = {{0, -100.0f}}}, logits, 500).count(0), 0u);
}

TEST(Sampler, StrangeLogitsStillGiveAToken) {
  EXPECT_EQ(Draws({}, {NAN, NAN}, 3).begin()->first, 0);
  EXPECT_EQ(Draws({}, {1, kInf, 2}, 50).size(), 1u);
  EXPECT_EQ(Draws({.top_p = 0.5f}, {-kInf, 1, -kInf}, 50).begin()->first, 1);
}

TEST(LogProbs, AreOfTheWholeDistribution) {
  const std::vector<float> logits = {std::log(0.2f) + 5, std::log(0.5f) + 5, std::log(0.3f) + 5};
  const LogProbs p = ComputeLogProbs(logits, 2, 2);
  EXPECT_NEAR(p.chosen, std::log(0.3), 1e-6);
  ASSERT_EQ(p.top.size(), 2u);
  EXPECT_EQ(p.top[0].token, 1);
  EXPECT_NEAR(p.top[1].logprob, std::log(0.3), 1e-6);
  EXPECT_EQ(ComputeLogProbs(logits, 0, 20).top.size(), 3u);
}

TEST(Params, RangesAreChecked) {
  EXPECT_TRUE(ValidateParams({}, 10).ok());
  for (const Params& bad :
       {Params{.temperature = -1}, Params{.temperature = NAN}, Params{.top_p = 0},
        Params{.min_p = 2}, Params{.repetition_penalty = 0}, Params{.presence_penalty = 3},
        Params{.logit_bias = {{10, 1.0f}}}, Params{.logit_bias = {{-1, 1.0f}}},
        Params{.logit_bias = {{1, 101.0f}}}}) {
    EXPECT_EQ(ValidateParams(bad, 10).error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mach::sample
