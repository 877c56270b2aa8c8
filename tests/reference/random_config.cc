#include "reference/random_config.h"

namespace mach::reference {
namespace {

void AddRope(const CheckpointSpec& spec, json::Object& config) {
  const bool partial = spec.family == Family::kQwen3_5Moe;
  if (spec.rope == RopeSpelling::kOldKeys) {
    config.Set("rope_theta", spec.rope_theta);
    if (partial) config.Set("partial_rotary_factor", spec.partial_rotary);
    config.Set("rope_scaling", nullptr);
    return;
  }
  json::Object rope{{"rope_type", "default"}, {"rope_theta", spec.rope_theta}};
  if (partial) rope.Set("partial_rotary_factor", spec.partial_rotary);
  config.Set("rope_parameters", std::move(rope));
  if (spec.rope == RopeSpelling::kParametersOverOld) {
    config.Set("rope_theta", spec.rope_theta * 7);
    if (partial) config.Set("partial_rotary_factor", spec.partial_rotary == 0.25 ? 0.5 : 0.25);
  }
}

void AddQwen3(const CheckpointSpec& spec, json::Object& config) {
  config.Set("intermediate_size", spec.dense_width);
  config.Set("norm_topk_prob", spec.norm_topk);
  config.Set("decoder_sparse_step", spec.sparse_step);
  json::Array dense;
  for (size_t i = 0; i < spec.layers; ++i) {
    if ((spec.mlp_only_layers >> i & 1) != 0) dense.push_back(i);
  }
  config.Set("mlp_only_layers", std::move(dense));
}

void AddQwen35(const CheckpointSpec& spec, json::Object& config) {
  config.Set("shared_expert_intermediate_size", spec.shared_width);
  config.Set("linear_num_key_heads", spec.key_heads);
  config.Set("linear_num_value_heads", spec.value_heads);
  config.Set("linear_key_head_dim", spec.key_dim);
  config.Set("linear_value_head_dim", spec.value_dim);
  config.Set("linear_conv_kernel_dim", spec.conv_kernel);
  config.Set("attn_output_gate", true);
  if (!spec.layer_types) {
    config.Set("full_attention_interval", spec.attention_interval);
    return;
  }
  json::Array types;
  for (size_t i = 0; i < spec.layers; ++i) {
    types.push_back(RandomLayerKind(spec, i).full_attention ? "full_attention"
                                                            : "linear_attention");
  }
  config.Set("layer_types", std::move(types));
}

}  // namespace

LayerKind RandomLayerKind(const CheckpointSpec& spec, size_t i) {
  if (spec.family == Family::kQwen3_5Moe) {
    return {.full_attention = (i + 1) % spec.attention_interval == 0};
  }
  return {.sparse = (spec.mlp_only_layers >> i & 1) == 0 && (i + 1) % spec.sparse_step == 0};
}

json::Value MakeRandomConfig(const CheckpointSpec& spec, const json::Object& module_grids) {
  const bool qwen35 = spec.family == Family::kQwen3_5Moe;
  const bool wrapped = spec.prefix == Prefix::kWrapper;
  const std::string root_type = qwen35 ? "qwen3_5_moe" : "qwen3_moe";
  json::Object config{
      {"model_type", qwen35 && wrapped ? "qwen3_5_moe_text" : root_type},
      {"vocab_size", spec.vocab},
      {"hidden_size", spec.hidden},
      {"num_hidden_layers", spec.layers},
      {"num_attention_heads", spec.heads},
      {"num_key_value_heads", spec.kv_heads},
      {"head_dim", spec.head_dim},
      {spec.local_experts ? "num_local_experts" : "num_experts", spec.experts},
      {"num_experts_per_tok", spec.top_k},
      {"moe_intermediate_size", spec.expert_width},
      {"attention_bias", spec.attention_bias},
      {"hidden_act", "silu"},
      {"rms_norm_eps", 1e-6},
      {"max_position_embeddings", 512},
      {"tie_word_embeddings", spec.tied_head},
      {"eos_token_id", 1},
  };
  AddRope(spec, config);
  qwen35 ? AddQwen35(spec, config) : AddQwen3(spec, config);
  if (wrapped) {
    config = json::Object{{"model_type", root_type},
                          {"tie_word_embeddings", spec.tied_head},
                          {"text_config", std::move(config)}};
  }
  if (spec.layout == Layout::kMlxAffine) {
    json::Object quantization{
        {"group_size", spec.grid.group}, {"bits", uint64_t{spec.grid.bits}}, {"mode", "affine"}};
    for (const auto& [module, settings] : module_grids) quantization.Set(module, settings);
    config.Set("quantization", quantization);
    config.Set("quantization_config", std::move(quantization));
  }
  return config;
}

}  // namespace mach::reference
