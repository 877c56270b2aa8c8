// qwen3_moe: Qwen3-30B-A3B and its kin (architectures.md 2). Attention in every layer; a mixture of
// experts, or a dense SwiGLU, by layer.
#include <algorithm>

#include "json/value.h"
#include "model/arch_registry.h"
#include "ops/attention.h"
#include "ops/ffn.h"

namespace mach::model {

Result<ModelConfig> ParseQwen3Moe(const json::Value& json) {
  ConfigReader c(json);
  ModelConfig m;
  m.vocab = c.Size("vocab_size");
  m.hidden = c.Size("hidden_size");
  m.norm_eps = static_cast<float>(c.Number("rms_norm_eps", 1e-6, kNormEpsRange));
  m.rope_theta = c.Rope("rope_theta", 1e6, kRopeThetaRange);
  m.tied_head = c.Flag("tie_word_embeddings", false);
  m.max_positions = c.Size("max_position_embeddings", 40960);
  c.Require(c.RopeType() == "default",
            "rope type '" + c.RopeType() + "' is not supported for qwen3_moe");
  c.Require(!c.Flag("use_sliding_window", false),
            "use_sliding_window is not supported for qwen3_moe");
  c.Require(!c.Flag("attention_bias", false), "attention_bias is not supported for qwen3_moe");
  c.Require(c.Text("hidden_act", "silu") == "silu", "hidden_act is not silu");

  ops::AttentionShape attention;
  attention.hidden = m.hidden;
  attention.heads = c.Size("num_attention_heads");
  attention.kv_heads = c.Size("num_key_value_heads", attention.heads);
  attention.head_dim = c.Size("head_dim", std::max<size_t>(m.hidden / attention.heads, 1));
  attention.rotary = attention.head_dim;
  attention.eps = m.norm_eps;
  c.Require(attention.heads % attention.kv_heads == 0,
            "num_attention_heads is no multiple of num_key_value_heads");
  c.Require(attention.head_dim % 2 == 0, "head_dim is odd");
  m.rotary = attention.rotary;

  ops::MoeShape moe;
  moe.hidden = m.hidden;
  moe.experts =
      c.Has("num_experts") ? c.SizeOrZero("num_experts", 0) : c.SizeOrZero("num_local_experts", 0);
  const size_t layers = c.Layers();
  const size_t step = c.Size("decoder_sparse_step", 1);
  const std::vector<size_t> dense_layers = c.Sizes("mlp_only_layers");
  if (moe.experts != 0) {
    moe.top_k = c.Size("num_experts_per_tok");
    moe.width = c.Size("moe_intermediate_size");
    moe.normalize = c.Flag("norm_topk_prob", false);
    c.Require(moe.top_k <= moe.experts, "num_experts_per_tok is more than the experts there are");
  }
  MACH_RETURN_IF_ERROR(c.status());
  for (size_t i = 0; i < layers; ++i) {
    LayerConfig layer{attention, moe};
    const bool listed =
        std::find(dense_layers.begin(), dense_layers.end(), i) != dense_layers.end();
    if (listed || moe.experts == 0 || (i + 1) % step != 0) {
      layer.ffn = DenseShape{c.Size("intermediate_size")};
    }
    m.layers.push_back(layer);
  }
  MACH_RETURN_IF_ERROR(c.status());
  return m;
}

}  // namespace mach::model
