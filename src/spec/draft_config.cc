#include "spec/draft_config.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mach::spec {
namespace {

constexpr size_t kMaxTaps = 64;
constexpr size_t kMaxDraftLayers = 64;
constexpr size_t kMaxBlockSize = 1024;

// The members of the top level, overridden by those of dflash_config.
json::Value Flattened(const json::Value& config) {
  json::Object flat = config.is_object() ? config.AsObject() : json::Object();
  const json::Value* own = config.Find("dflash_config");
  if (own != nullptr && own->is_object()) {
    for (const auto& [key, value] : own->AsObject()) flat.Set(key, value);
  }
  return flat;
}

// n layers, evenly spaced from the second to the last but two: the rule of checkpoints that list
// none.
std::vector<uint32_t> DefaultTaps(size_t target_layers, size_t n) {
  if (n == 1) return {static_cast<uint32_t>(target_layers / 2)};
  std::vector<uint32_t> taps;
  const double span = std::max(static_cast<double>(target_layers) - 4, 0.0);
  for (size_t i = 0; i < n; ++i) {
    const double at = 1 + static_cast<double>(i) * span / static_cast<double>(n - 1);
    taps.push_back(static_cast<uint32_t>(std::nearbyint(at)));
  }
  return taps;
}

void RefuseVariants(model::ConfigReader& c, const DraftConfig& d, const json::Value& flat) {
  const auto absent = [&](std::string_view key, std::string_view what) {
    const json::Value* found = flat.Find(key);
    const bool on =
        found != nullptr && !found->is_null() && !(found->is_bool() && !found->AsBool());
    c.Require(!on, "'" + std::string(key) + "' (" + std::string(what) + ") is not supported");
  };
  absent("conv_kernel_size", "DFlash 2");
  absent("selector_rank", "DFlash 2");
  absent("sample_from_anchor", "shifted labels");
  absent("shift_label", "shifted labels");
  absent("attention_sink_bias", "attention sinks");
  absent("final_logit_softcapping", "capped logits");
  absent("rope_interleaved", "interleaved rotary embedding");
  absent("aux_hidden_state_layer_ids", "a converted file, whose layer numbers may be shifted");
  c.Require(c.Flag("is_neox_style", true), "'is_neox_style' false is not supported");
  c.Require(!c.Flag("attention_bias", false), "'attention_bias' is not supported");
  c.Require(c.Text("hidden_act", "silu") == "silu", "'hidden_act' is not silu");
  c.Require(c.RopeType() == "default", "rope type '" + c.RopeType() + "' is not supported");
  c.Require(c.Size("target_hidden_size", d.hidden) == d.hidden,
            "'target_hidden_size' differs from 'hidden_size', which is not supported");
  c.Require(c.Size("draft_vocab_size", d.vocab) == d.vocab,
            "a 'draft_vocab_size' of its own is not supported");
  for (const char* scale : {"input_embedding_scale", "output_multiplier"}) {
    c.Number(scale, 1, {1, 1});  // any other is not supported
  }
}

}  // namespace

Result<DraftConfig> ParseDraftConfig(const json::Value& json) {
  const json::Value flat = Flattened(json);
  model::ConfigReader c(flat);
  DraftConfig d;
  for (const std::string& name : c.Texts("architectures")) {
    c.Require(name == "DFlashDraftModel", "architecture '" + name +
                                              "' is no drafter that Mach runs; expected "
                                              "'DFlashDraftModel'");
  }
  d.hidden = c.Size("hidden_size");
  d.width = c.Size("intermediate_size");
  d.heads = c.Size("num_attention_heads");
  d.kv_heads = c.Size("num_key_value_heads", d.heads);
  d.head_dim = c.Size("head_dim", std::max<size_t>(d.hidden / d.heads, 1));
  d.vocab = c.Size("vocab_size");
  d.target_layers = c.Size("num_target_layers");
  d.block_size = c.Size("block_size");
  d.mask_token = static_cast<TokenId>(c.SizeOrZero("mask_token_id", 0));
  d.norm_eps = static_cast<float>(c.Number("rms_norm_eps", 1e-6, model::kNormEpsRange));
  d.rope_theta = c.Rope("rope_theta", 0, model::kRopeThetaRange);
  c.Require(c.Has("mask_token_id"), "'mask_token_id' is missing");
  c.Require(d.rope_theta > 1, "'rope_theta' is missing or not above 1");
  c.Require(d.heads % d.kv_heads == 0, "num_attention_heads is no multiple of num_key_value_heads");
  c.Require(d.head_dim % 2 == 0, "head_dim is odd");
  c.Require(d.block_size >= 2 && d.block_size <= kMaxBlockSize,
            "'block_size' is " + std::to_string(d.block_size) + ", expected 2 to " +
                std::to_string(kMaxBlockSize));
  RefuseVariants(c, d, flat);

  const size_t layers = c.Layers();
  c.Require(layers <= kMaxDraftLayers, "'num_hidden_layers' is " + std::to_string(layers) +
                                           ", expected at most " + std::to_string(kMaxDraftLayers));
  const bool own_causality = c.Has("causal") || c.Has("is_causal");
  const bool causal = c.Has("causal") ? c.Flag("causal", false) : c.Flag("is_causal", false);
  const std::vector<std::string> types = c.Texts("layer_types");
  c.Require(types.empty() || types.size() == layers,
            "'layer_types' has " + std::to_string(types.size()) + " entries for " +
                std::to_string(layers) + " layers");
  MACH_RETURN_IF_ERROR(c.status());
  for (size_t i = 0; i < layers; ++i) {
    const std::string type = types.empty() ? "full_attention" : types[i];
    DraftLayerConfig layer;
    c.Require(type == "full_attention" || type == "sliding_attention",
              "layer type '" + type + "' is not supported");
    if (type == "sliding_attention") {
      layer.window = c.Has("sliding_window") ? c.Size("sliding_window") : c.Size("swa_window_size");
    }
    layer.causal = own_causality ? causal : layer.window != 0;
    d.layers.push_back(layer);
  }

  const std::vector<size_t> taps = c.Sizes("target_layer_ids");
  for (const size_t tap : taps) d.taps.push_back(static_cast<uint32_t>(tap));
  if (taps.empty()) d.taps = DefaultTaps(d.target_layers, layers);
  c.Require(d.taps.size() <= kMaxTaps, "'target_layer_ids' has more than 64 entries");
  for (size_t i = 0; i < d.taps.size(); ++i) {
    c.Require(d.taps[i] < d.target_layers, "'target_layer_ids' names layer " +
                                               std::to_string(d.taps[i]) + " of a target of " +
                                               std::to_string(d.target_layers) + " layers");
    c.Require(i == 0 || d.taps[i - 1] < d.taps[i], "'target_layer_ids' is not ascending");
  }
  c.Require(static_cast<size_t>(d.mask_token) < d.vocab,
            "'mask_token_id' " + std::to_string(d.mask_token) + " is not below the vocabulary's " +
                std::to_string(d.vocab));
  MACH_RETURN_IF_ERROR(c.status());
  return d;
}

Status CheckPairing(const DraftConfig& draft, const model::ModelConfig& target) {
  const auto equal = [](std::string_view what, size_t has, size_t wants) -> Status {
    if (has == wants) return Ok();
    return Error{Code::kInvalidArgument,
                 "the drafter was made for another model: its target's " + std::string(what) +
                     " is " + std::to_string(has) + ", this model's " + std::to_string(wants) +
                     "; give the matching one with --draft-dir, or --target-only"};
  };
  MACH_RETURN_IF_ERROR(equal("hidden size", draft.hidden, target.hidden));
  MACH_RETURN_IF_ERROR(equal("vocabulary", draft.vocab, target.vocab));
  return equal("number of layers", draft.target_layers, target.layers.size());
}

}  // namespace mach::spec
