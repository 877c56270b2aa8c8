#include <gtest/gtest.h>

#include "engine/local_engine.h"

namespace mach::engine {
namespace {

// A restart is advised only with a context that holds the prompt and a token more.
TEST(HowToFitPrompt, AdvisesWhatWorks) {
  Info info;
  info.context_tokens = 1024;
  info.most_context_tokens = 4096;
  EXPECT_EQ(HowToFitPrompt(info, 1024), "shorten it, or restart with --ctx-size up to 4096");
  EXPECT_EQ(HowToFitPrompt(info, 4095), "shorten it, or restart with --ctx-size up to 4096");
  EXPECT_EQ(HowToFitPrompt(info, 4096).find("--ctx-size"), std::string::npos);
  info.most_context_tokens = 1024;  // all that the model and the ceiling allow
  EXPECT_EQ(HowToFitPrompt(info, 1024).find("--ctx-size"), std::string::npos);
  info.most_context_tokens = 0;  // unknown
  EXPECT_EQ(HowToFitPrompt(info, 2000).find("--ctx-size"), std::string::npos);
}

TEST(StopTokens, AreTheUnionOfAllThatIsSaid) {
  const auto eos = [](json::Value ids) {
    return json::Value(json::Object{{"eos_token_id", std::move(ids)}});
  };
  const json::Value none = json::Object();
  using Tokens = std::vector<TokenId>;
  const Tokens two{2};
  EXPECT_EQ(StopTokens(eos(0), eos(json::Array{7, 0}), two, 10), (Tokens{7, 0, 2}));
  EXPECT_EQ(StopTokens(none, none, two, 10), two);
  EXPECT_EQ(StopTokens(json::Object{{"text_config", eos(json::Array{3, 4})}}, eos(3), {}, 10),
            (Tokens{3, 4}));
  EXPECT_EQ(StopTokens(json::Object{{"eos_token_id", 1}, {"text_config", eos(2)}}, none, {}, 10),
            (Tokens{1, 2}));
  EXPECT_TRUE(StopTokens(eos(nullptr), none, {}, 10).empty());
  // No ids of the vocabulary.
  EXPECT_TRUE(StopTokens(eos(json::Array{-1, 10, "2", 2.5}), eos("x"), Tokens{10}, 10).empty());
}

}  // namespace
}  // namespace mach::engine
