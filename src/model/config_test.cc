#include <limits>

#include <gtest/gtest.h>

#include "json/parse.h"
#include "model/arch_registry.h"

namespace mach::model {
namespace {

json::Object Qwen3() {
  return json::Parse(R"({"model_type":"qwen3_moe","vocab_size":256,"hidden_size":64,
      "num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
      "num_local_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32,
      "intermediate_size":96,"norm_topk_prob":true,"rope_theta":1000000.0})")
      ->AsObject();
}
json::Object Qwen35() {
  return json::Parse(R"({"model_type":"qwen3_5_moe_text","vocab_size":256,"hidden_size":64,
      "num_hidden_layers":8,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,
      "num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32,
      "shared_expert_intermediate_size":48,"linear_num_key_heads":2,"linear_num_value_heads":4,
      "linear_key_head_dim":16,"linear_value_head_dim":16,"partial_rotary_factor":0.25,
      "rope_parameters":{"rope_theta":1e7,"partial_rotary_factor":0.5}})")
      ->AsObject();
}
json::Object With(json::Object config, std::string_view key, json::Value value) {
  config.Set(key, std::move(value));
  return config;
}

TEST(Config, Qwen3MoeWithDenseLayers) {
  json::Object config = With(Qwen3(), "mlp_only_layers", json::Array{1});
  config.Set("decoder_sparse_step", 2);
  const auto parsed = ParseConfig(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->architecture, "qwen3_moe");
  EXPECT_FALSE(parsed->centered_norms);
  // Layers 0 and 2 are off the step, 1 is listed: only 3 is sparse.
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::holds_alternative<ops::MoeShape>(parsed->layers[i].ffn), i == 3) << i;
  }
  EXPECT_EQ(std::get<DenseShape>(parsed->layers[1].ffn).width, 96u);
  EXPECT_EQ(std::get<ops::MoeShape>(parsed->layers[3].ffn).experts, 8u);
}

TEST(Config, Qwen35LayersFollowTheIntervalAndInnerRopeWins) {
  // As a wrapper holds it, too.
  for (const json::Object& config :
       {Qwen35(), json::Object{{"model_type", "qwen3_5_moe"}, {"text_config", Qwen35()}}}) {
    const auto parsed = ParseConfig(config);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->architecture, "qwen3_5_moe");
    EXPECT_TRUE(parsed->centered_norms);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(std::holds_alternative<ops::AttentionShape>(parsed->layers[i].mixer), i % 4 == 3)
          << i;
    }
    EXPECT_EQ(parsed->rotary, 16u);
    EXPECT_EQ(parsed->rope_theta, 1e7);
  }
}

TEST(Config, WhatCannotBeRunIsRefusedByName) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    json::Object config;
    const char* message;
  };
  const Case cases[] = {
      {With(Qwen3(), "model_type", "llama"),
       "architecture 'llama' is not one that Mach runs: qwen3_5_moe, qwen3_moe ('mach archs' says"},
      {json::Object{{"model_type", "llama"}, {"num_experts", 0}},
       "architecture 'llama', a dense model (without experts), is not one that Mach runs"},
      {json::Object{{"text_config", json::Object{{"model_type", "x"}, {"num_experts", 8}}}},
       "architecture 'x' is not"},
      {json::Object{}, "there is no 'model_type'"},
      {With(Qwen3(), "model_type", 3), "'model_type' is integer, expected a string"},
      {With(Qwen3(), "hidden_size", json::Value()), "'hidden_size' is missing"},
      {With(Qwen3(), "hidden_size", "64"), "'hidden_size' is string"},
      {With(Qwen3(), "hidden_size", -1), "'hidden_size' is -1"},
      {With(Qwen3(), "hidden_size", int64_t{1} << 40), "'hidden_size' is 1099511627776"},
      {With(Qwen3(), "num_hidden_layers", 100000000), "'num_hidden_layers' is 100000000"},
      {With(Qwen3(), "num_key_value_heads", 3), "num_key_value_heads"},
      {With(Qwen3(), "num_experts_per_tok", 9), "num_experts_per_tok"},
      {With(Qwen3(), "attention_bias", true), "attention_bias"},
      {With(Qwen3(), "mlp_only_layers", "all"), "'mlp_only_layers'"},
      {With(Qwen3(), "rope_scaling", json::Object{{"rope_type", "yarn"}}), "'yarn'"},
      {With(Qwen35(), "layer_types", json::Array{"full_attention"}), "layer_types"},
      {With(Qwen35(), "layer_types", json::Array{}), "layer_types has another length"},
      {With(Qwen35(), "linear_conv_kernel_dim", 1), "linear_conv_kernel_dim"},
      {With(Qwen35(), "linear_num_value_heads", 3), "linear_num_value_heads"},
      {With(Qwen35(), "rope_parameters", json::Object{{"partial_rotary_factor", 2.0}}),
       "partial_rotary_factor"},
      {With(Qwen35(), "rope_parameters", json::Object{{"partial_rotary_factor", 0.001}}),
       "head_dim * partial_rotary_factor is 0, expected an even number"},
      // There, but of another type or out of its range: never the default.
      {With(Qwen3(), "rms_norm_eps", 0), "'rms_norm_eps' is 0, expected 1e-12 to 0.1"},
      {With(Qwen3(), "rms_norm_eps", -1e-6), "'rms_norm_eps' is -1e-06"},
      {With(Qwen3(), "rms_norm_eps", 1e30), "'rms_norm_eps' is 1e+30"},
      {With(Qwen3(), "rms_norm_eps", kNaN), "'rms_norm_eps' is nan"},
      {With(Qwen3(), "rms_norm_eps", "1e-6"), "'rms_norm_eps' is string, expected a number"},
      {With(Qwen3(), "rope_theta", "1000000"), "'rope_theta' is string, expected a number"},
      {With(Qwen3(), "rope_theta", json::Array{1e6}), "'rope_theta' is array, expected a number"},
      {With(Qwen3(), "rope_theta", 0), "'rope_theta' is 0, expected 1.001 to 1e+12"},
      {With(Qwen3(), "rope_theta", -1e6), "'rope_theta' is -1e+06"},
      {With(Qwen3(), "rope_scaling", json::Array{}), "'rope_scaling' is array, expected an object"},
      {With(Qwen3(), "rope_scaling", "yarn"), "'rope_scaling' is string, expected an object"},
      // Beside rope_parameters, too.
      {With(Qwen35(), "rope_scaling", "linear"), "'rope_scaling' is string, expected an object"},
      {With(With(Qwen35(), "rope_parameters", json::Object{{"rope_type", "default"}}),
            "rope_scaling", json::Object{{"type", "yarn"}, {"factor", 4.0}}),
       "'yarn'"},
      {With(Qwen3(), "rope_scaling", json::Object{{"rope_type", 3}}),
       "'rope_type' of 'rope_scaling' is integer, expected a string"},
      {With(Qwen35(), "rope_parameters", json::Object{{"rope_theta", "1e7"}}),
       "'rope_theta' of 'rope_parameters' is string, expected a number"},
      {With(Qwen35(), "rope_parameters",
            json::Object{{"full_attention", json::Object{{"rope_theta", 1e6}}}}),
       "'rope_parameters' has parameters of its own for 'full_attention'"},
      {With(Qwen35(), "text_config", 7), "'text_config' is integer, expected an object"},
      {With(Qwen3(), "tie_word_embeddings", "yes"), "'tie_word_embeddings' is string"},
      {With(Qwen3(), "hidden_act", 1), "'hidden_act' is integer, expected a string"},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseConfig(c.config);
    ASSERT_FALSE(parsed.ok()) << c.message;
    EXPECT_EQ(parsed.error().code, Code::kUnsupported);
    EXPECT_NE(parsed.error().message.find(c.message), std::string::npos) << parsed.error().message;
  }
}

TEST(Archs, AreFoundByEitherName) {
  EXPECT_EQ(FindArch("qwen3_5_moe_text"), FindArch("qwen3_5_moe"));
  EXPECT_NE(FindArch("qwen3_moe"), nullptr);
  EXPECT_EQ(FindArch(""), nullptr);
}

}  // namespace
}  // namespace mach::model
