// qwen3_5_moe: Qwen3.5 and Qwen3.6 MoE (architectures.md 1). Gated delta net layers with gated
// attention in between; experts and a shared expert in every layer.
#include <algorithm>
#include <cmath>

#include "json/value.h"
#include "model/arch_registry.h"
#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"

namespace mach::model {

Result<ModelConfig> ParseQwen35Moe(const json::Value& json) {
  ConfigReader c(json);
  ModelConfig m;
  m.vocab = c.Size("vocab_size");
  m.hidden = c.Size("hidden_size");
  m.norm_eps = static_cast<float>(c.Number("rms_norm_eps", 1e-6, kNormEpsRange));
  m.rope_theta = c.Rope("rope_theta", 1e7, kRopeThetaRange);
  m.centered_norms = true;
  m.tied_head = c.Flag("tie_word_embeddings", false);
  m.max_positions = c.Size("max_position_embeddings", 262144);
  // Text has three equal position streams, so that M-RoPE is plain RoPE.
  c.Require(c.RopeType() == "default",
            "rope type '" + c.RopeType() + "' is not supported for qwen3_5_moe");
  c.Require(!c.Flag("attention_bias", false), "attention_bias is not supported for qwen3_5_moe");
  c.Require(c.Flag("attn_output_gate", true),
            "attn_output_gate false is not supported for qwen3_5_moe");
  c.Require(c.Text("hidden_act", "silu") == "silu", "hidden_act is not silu");

  ops::AttentionShape attention;
  attention.hidden = m.hidden;
  attention.heads = c.Size("num_attention_heads");
  attention.kv_heads = c.Size("num_key_value_heads");
  attention.head_dim = c.Size("head_dim", std::max<size_t>(m.hidden / attention.heads, 1));
  const double fraction = c.Rope("partial_rotary_factor", 0.25, {0, 1});
  attention.rotary =
      static_cast<size_t>(std::floor(static_cast<double>(attention.head_dim) * fraction));
  attention.gated = true;
  attention.eps = m.norm_eps;
  c.Require(attention.heads % attention.kv_heads == 0,
            "num_attention_heads is no multiple of num_key_value_heads");
  c.Require(attention.rotary != 0 && attention.rotary % 2 == 0,
            "head_dim * partial_rotary_factor is " + std::to_string(attention.rotary) +
                ", expected an even number of at least 2");
  m.rotary = attention.rotary;

  ops::DeltaNetShape delta;
  delta.hidden = m.hidden;
  delta.key_heads = c.Size("linear_num_key_heads");
  delta.value_heads = c.Size("linear_num_value_heads");
  delta.key_dim = c.Size("linear_key_head_dim");
  delta.value_dim = c.Size("linear_value_head_dim");
  delta.conv_taps = c.Size("linear_conv_kernel_dim", 4);
  delta.eps = m.norm_eps;
  c.Require(delta.value_heads % delta.key_heads == 0,
            "linear_num_value_heads is no multiple of linear_num_key_heads");
  c.Require(delta.conv_taps >= 2 && delta.conv_taps <= 16,
            "linear_conv_kernel_dim is not within 2 to 16");

  ops::MoeShape moe;
  moe.hidden = m.hidden;
  moe.experts = c.Has("num_experts") ? c.Size("num_experts") : c.Size("num_local_experts");
  moe.top_k = c.Size("num_experts_per_tok");
  moe.width = c.Size("moe_intermediate_size");
  moe.shared_width = c.Size("shared_expert_intermediate_size");
  moe.normalize = true;
  c.Require(moe.top_k <= moe.experts, "num_experts_per_tok is more than the experts there are");

  const size_t layers = c.Layers();
  const size_t interval = c.Size("full_attention_interval", 4);
  const std::vector<std::string> types = c.Texts("layer_types");
  const bool listed = c.Has("layer_types");
  c.Require(!listed || types.size() == layers,
            "layer_types has another length than num_hidden_layers");
  MACH_RETURN_IF_ERROR(c.status());
  for (size_t i = 0; i < layers; ++i) {
    const std::string type = listed                    ? types[i]
                             : (i + 1) % interval == 0 ? "full_attention"
                                                       : "linear_attention";
    c.Require(type == "full_attention" || type == "linear_attention",
              "layer_types holds '" + type + "', expected full_attention or linear_attention");
    LayerConfig layer{attention, moe};
    if (type == "linear_attention") layer.mixer = delta;
    m.layers.push_back(layer);
  }
  MACH_RETURN_IF_ERROR(c.status());
  return m;
}

}  // namespace mach::model
