#include "model/synth/shape.h"

namespace mach::model {
namespace {

// Keys that both families spell alike.
json::Object CommonConfig(const SynthShape& s) {
  return json::Object{{"dtype", "bfloat16"},
                      {"vocab_size", uint64_t{s.vocab}},
                      {"hidden_size", uint64_t{s.hidden}},
                      {"num_hidden_layers", uint64_t{s.layers}},
                      {"num_attention_heads", uint64_t{s.heads}},
                      {"num_key_value_heads", uint64_t{s.kv_heads}},
                      {"head_dim", uint64_t{s.head_dim}},
                      {"attention_bias", false},
                      {"hidden_act", "silu"},
                      {"max_position_embeddings", uint64_t{s.context}},
                      {"rms_norm_eps", 1e-6},
                      {"tie_word_embeddings", false},
                      {"num_experts", uint64_t{s.experts}},
                      {"num_experts_per_tok", uint64_t{s.top_k}},
                      {"moe_intermediate_size", uint64_t{s.width}}};
}

json::Object Qwen3MoeConfig(const SynthShape& s) {
  json::Object config = CommonConfig(s);
  config.Set("architectures", json::Array{"Qwen3MoeForCausalLM"});
  config.Set("model_type", "qwen3_moe");
  config.Set("decoder_sparse_step", 1);
  config.Set("mlp_only_layers", json::Array{});
  config.Set("norm_topk_prob", true);
  config.Set("rope_theta", 1e6);
  config.Set("use_sliding_window", false);
  return config;
}

json::Object Qwen35MoeConfig(const SynthShape& s) {
  json::Array types;
  for (size_t i = 0; i < s.layers; ++i) {
    const bool full = s.attention_interval != 0 && (i + 1) % s.attention_interval == 0;
    types.emplace_back(full ? "full_attention" : "linear_attention");
  }
  json::Object text = CommonConfig(s);
  text.Set("model_type", "qwen3_5_moe_text");
  text.Set("shared_expert_intermediate_size", uint64_t{s.shared_width});
  text.Set("linear_num_key_heads", uint64_t{s.linear_key_heads});
  text.Set("linear_num_value_heads", uint64_t{s.linear_value_heads});
  text.Set("linear_key_head_dim", uint64_t{s.linear_head_dim});
  text.Set("linear_value_head_dim", uint64_t{s.linear_head_dim});
  text.Set("linear_conv_kernel_dim", 4);
  text.Set("full_attention_interval", uint64_t{s.attention_interval});
  text.Set("layer_types", std::move(types));
  text.Set(
      "rope_parameters",
      json::Object{{"rope_type", "default"}, {"rope_theta", 1e7}, {"partial_rotary_factor", 0.25}});
  return json::Object{{"architectures", json::Array{"Qwen3_5MoeForConditionalGeneration"}},
                      {"model_type", "qwen3_5_moe"},
                      {"dtype", "bfloat16"},
                      {"tie_word_embeddings", false},
                      {"text_config", std::move(text)}};
}

}  // namespace

std::string_view SynthFamilyName(SynthFamily family) {
  return family == SynthFamily::kQwen3Moe ? "qwen3_moe" : "qwen3_5_moe";
}

std::optional<SynthFamily> SynthFamilyFromName(std::string_view name) {
  for (const SynthFamily family : {SynthFamily::kQwen3Moe, SynthFamily::kQwen35Moe}) {
    if (SynthFamilyName(family) == name) return family;
  }
  return std::nullopt;
}

std::optional<SynthShape> SynthPreset(std::string_view name) {
  if (name == "35b-a3b") {
    return SynthShape{.family = SynthFamily::kQwen35Moe,
                      .layers = 40,
                      .hidden = 2048,
                      .experts = 256,
                      .top_k = 8,
                      .width = 512,
                      .heads = 16,
                      .kv_heads = 2,
                      .head_dim = 256,
                      .vocab = 248320,
                      .context = 262144,
                      .shared_width = 512,
                      .linear_key_heads = 16,
                      .linear_value_heads = 32,
                      .linear_head_dim = 128,
                      .attention_interval = 4};
  }
  if (name == "30b-a3b") {
    return SynthShape{.family = SynthFamily::kQwen3Moe,
                      .layers = 48,
                      .hidden = 2048,
                      .experts = 128,
                      .top_k = 8,
                      .width = 768,
                      .heads = 32,
                      .kv_heads = 4,
                      .head_dim = 128,
                      .vocab = 151936,
                      .context = 40960};
  }
  return std::nullopt;
}

json::Object SynthConfig(const SynthShape& shape) {
  return shape.family == SynthFamily::kQwen3Moe ? Qwen3MoeConfig(shape) : Qwen35MoeConfig(shape);
}

}  // namespace mach::model
