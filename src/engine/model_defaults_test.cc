#include "engine/model_defaults.h"

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

TEST(ModelDefaults, StopTokensAreTheUnionOfAllThatIsSaid) {
  const auto eos = [](json::Value ids) {
    return json::Value(json::Object{{"eos_token_id", std::move(ids)}});
  };
  const json::Value none = json::Object();
  using Tokens = std::vector<TokenId>;
  const Tokens two{2};
  const auto stops = [](const json::Value& config, const json::Value& generation,
                        const Tokens& of_tokenizer) {
    const auto read = ReadModelDefaults(config, generation, of_tokenizer, 10);
    EXPECT_TRUE(read.ok()) << read.error().message;
    return read->stop_tokens;
  };
  EXPECT_EQ(stops(eos(0), eos(json::Array{7, 0}), two), (Tokens{7, 0, 2}));
  EXPECT_EQ(stops(none, none, two), two);
  EXPECT_EQ(stops(json::Object{{"text_config", eos(json::Array{3, 4})}}, eos(3), {}),
            (Tokens{3, 4}));
  EXPECT_EQ(stops(json::Object{{"eos_token_id", 1}, {"text_config", eos(2)}}, none, {}),
            (Tokens{1, 2}));
  EXPECT_TRUE(stops(eos(nullptr), none, {}).empty());
  EXPECT_TRUE(stops(none, none, Tokens{10}).empty());
}

TEST(ModelDefaults, WhatIsNoneOfTheVocabularysOrOutOfRangeIsRefused) {
  const json::Value none = json::Object();
  const json::Value beyond[] = {-1,
                                10,
                                int64_t{1} << 40,
                                2.5,
                                "2",
                                true,
                                json::Array{1, -1},
                                json::Array{json::Array{1}},
                                json::Object{}};
  for (const json::Value& id : beyond) {
    const json::Value eos = json::Object{{"eos_token_id", id}};
    const json::Value text = json::Object{{"text_config", eos}};
    EXPECT_TRUE(ReadModelDefaults(eos, none, {}, 10)
                    .error()
                    .message.starts_with("config.json: 'eos_token_id' has "));
    EXPECT_TRUE(ReadModelDefaults(text, none, {}, 10)
                    .error()
                    .message.starts_with("config.json: 'eos_token_id' has "));
    EXPECT_TRUE(ReadModelDefaults(none, eos, {}, 10)
                    .error()
                    .message.starts_with("generation_config.json: 'eos_token_id' has "));
  }
  for (const auto& [key, value] : {std::pair<const char*, json::Value>{"temperature", -1},
                                   {"temperature", "0.7"},
                                   {"top_p", 0},
                                   {"top_p", 2},
                                   {"min_p", -0.5},
                                   {"repetition_penalty", 0},
                                   {"top_k", 2.5},
                                   {"top_k", json::Array{}}}) {
    const auto read = ReadModelDefaults(none, json::Object{{key, value}}, {}, 10);
    ASSERT_FALSE(read.ok()) << key;
    EXPECT_TRUE(read.error().message.starts_with("generation_config.json: "));
    EXPECT_NE(read.error().message.find(key), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace mach::engine
