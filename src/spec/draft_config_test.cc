#include "spec/draft_config.h"

#include <gmock/gmock.h>

#include "json/parse.h"

namespace mach::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

json::Value Parsed(std::string_view text) {
  auto value = json::Parse(text);
  EXPECT_TRUE(value.ok());
  return *std::move(value);
}

json::Value Base() {
  return Parsed(R"({"architectures": ["DFlashDraftModel"], "hidden_size": 256,
    "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "vocab_size": 8192, "num_hidden_layers": 3, "num_target_layers": 8, "rms_norm_eps": 1e-6,
    "block_size": 16, "rope_theta": 1000000.0,
    "dflash_config": {"mask_token_id": 3, "target_layer_ids": [1, 3, 6]}})");
}

json::Value With(std::string_view key, json::Value value) {
  json::Object o = Base().AsObject();
  o.Set(key, std::move(value));
  return o;
}

TEST(DraftConfig, OldLayout) {
  const auto c = ParseDraftConfig(Base());
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_EQ(c->block_size, 16u);
  EXPECT_EQ(c->mask_token, 3);
  EXPECT_EQ(c->rope_theta, 1e6);
  EXPECT_THAT(c->taps, ElementsAre(1, 3, 6));
  ASSERT_EQ(c->layers.size(), 3u);
  EXPECT_EQ(c->layers[0].window, 0u);
  EXPECT_FALSE(c->layers[0].causal);
}

TEST(DraftConfig, NewLayoutAndSlidingLayers) {
  json::Object o = Base().AsObject();
  o.Erase("block_size");
  o.Erase("rope_theta");
  o.Set("rope_parameters", Parsed(R"({"rope_type": "default", "rope_theta": 5000.0})"));
  o.Set("dflash_config",
        Parsed(R"({"mask_token_id": 9, "block_size": 8, "target_layer_ids": [2]})"));
  o.Set("layer_types", Parsed(R"(["sliding_attention", "full_attention", "sliding_attention"])"));
  o.Set("sliding_window", 128);
  auto c = ParseDraftConfig(o);
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_EQ(c->block_size, 8u);
  EXPECT_EQ(c->rope_theta, 5000.0);
  EXPECT_EQ(c->layers[0].window, 128u);
  EXPECT_TRUE(c->layers[0].causal);
  EXPECT_FALSE(c->layers[1].causal);

  o.Set("is_causal", false);
  c = ParseDraftConfig(o);
  ASSERT_TRUE(c.ok());
  EXPECT_FALSE(c->layers[0].causal);
  o.Set("dflash_config", Parsed(R"({"mask_token_id": 9, "block_size": 8, "causal": true})"));
  c = ParseDraftConfig(o);
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c->layers[1].causal);
}

// The lists of published drafters, which the rule for files without one reproduces.
TEST(DraftConfig, TapsWithoutAList) {
  const auto taps = [](int target_layers, int layers) {
    json::Object o = Base().AsObject();
    o.Set("num_target_layers", target_layers);
    o.Set("num_hidden_layers", layers);
    o.Set("dflash_config", Parsed(R"({"mask_token_id": 3})"));
    const auto c = ParseDraftConfig(o);
    EXPECT_TRUE(c.ok());
    return c->taps;
  };
  EXPECT_THAT(taps(36, 5), ElementsAre(1, 9, 17, 25, 33));
  EXPECT_THAT(taps(32, 5), ElementsAre(1, 8, 15, 22, 29));
  EXPECT_THAT(taps(40, 8), ElementsAre(1, 6, 11, 16, 22, 27, 32, 37));
  EXPECT_THAT(taps(8, 1), ElementsAre(4));
}

TEST(DraftConfig, RefusesWhatWouldDraftWrongly) {
  const auto refuses = [](const json::Value& config, const char* says) {
    const auto c = ParseDraftConfig(config);
    ASSERT_FALSE(c.ok()) << says;
    EXPECT_THAT(c.error().message, HasSubstr(says));
  };
  refuses(With("architectures", json::Array{"DFlash2DraftModel"}), "DFlash2DraftModel");
  refuses(With("conv_kernel_size", 2), "DFlash 2");
  refuses(With("sample_from_anchor", true), "shifted labels");
  refuses(With("draft_vocab_size", 100), "draft_vocab_size");
  refuses(With("is_neox_style", false), "is_neox_style");
  refuses(With("rope_scaling", Parsed(R"({"type": "yarn", "factor": 64})")), "yarn");
  refuses(With("input_embedding_scale", 16), "input_embedding_scale");
  refuses(With("layer_types", json::Array{"full_attention"}), "layer_types");
  refuses(With("block_size", 1), "block_size");
  refuses(With("num_hidden_layers", 1000), "num_hidden_layers");
  refuses(With("dflash_config", Parsed(R"({"mask_token_id": 8192})")), "mask_token_id");
  refuses(With("dflash_config", Parsed(R"({"mask_token_id": 3, "target_layer_ids": [8]})")),
          "layer 8 of a target of 8");
  refuses(With("dflash_config", Parsed(R"({"mask_token_id": 3, "target_layer_ids": [3, 1]})")),
          "ascending");
  refuses(With("dflash_config", Parsed(R"({"target_layer_ids": [1]})")), "mask_token_id");
  refuses(json::Array{}, "config.json");
}

TEST(DraftConfig, Pairing) {
  const auto c = ParseDraftConfig(Base());
  ASSERT_TRUE(c.ok());
  model::ModelConfig target;
  target.hidden = 256;
  target.vocab = 8192;
  target.layers.resize(8);
  EXPECT_TRUE(CheckPairing(*c, target).ok());
  target.vocab = 9000;
  EXPECT_THAT(CheckPairing(*c, target).error().message, HasSubstr("vocabulary is 8192"));
  target.vocab = 8192;
  target.layers.resize(9);
  EXPECT_THAT(CheckPairing(*c, target).error().message, HasSubstr("number of layers is 8"));
  target.hidden = 128;
  EXPECT_THAT(CheckPairing(*c, target).error().message, HasSubstr("hidden size is 256"));
}

}  // namespace
}  // namespace mach::spec
