#include "reference/reference_config.h"

#include <algorithm>
#include <cmath>

#include "io/file.h"
#include "json/parse.h"

namespace mach::reference {
namespace {

Error Wrong(const std::string& what) { return {Code::kUnsupported, "reference config: " + what}; }

Result<size_t> Size(const json::Value& config, std::string_view key,
                    std::optional<int64_t> fallback = std::nullopt) {
  MACH_TRY(const int64_t value, json::GetInt(config, key, fallback));
  if (value < 0) return Wrong(std::string(key) + " is negative");
  return static_cast<size_t>(value);
}

// A key of rope_parameters, else of the config itself.
const json::Value& RopeHolder(const json::Value& config, std::string_view key) {
  const json::Value* rope = config.Find("rope_parameters");
  return rope != nullptr && rope->Find(key) != nullptr ? *rope : config;
}

Status ReadRope(const json::Value& config, Config& out) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const json::Value* rope = config.Find(key);
    if (rope == nullptr || !rope->is_object()) continue;
    MACH_TRY(const std::string type, json::GetString(*rope, "rope_type", "default"));
    if (type != "default") return Wrong("rope_type " + type);
  }
  MACH_TRY(out.rope_theta, json::GetDouble(RopeHolder(config, "rope_theta"), "rope_theta"));
  double factor = 1;
  if (out.family == Family::kQwen3_5Moe) {
    const std::string_view key = "partial_rotary_factor";
    MACH_TRY(factor, json::GetDouble(RopeHolder(config, key), key, 0.25));
  }
  out.rotary_dims = static_cast<size_t>(std::lround(static_cast<double>(out.head_dim) * factor));
  if (out.rotary_dims % 2 != 0 || out.rotary_dims > out.head_dim) return Wrong("rotary dimensions");
  return Ok();
}

Status ReadDenseLayers(const json::Value& config, Config& out) {
  MACH_TRY(const size_t step, Size(config, "decoder_sparse_step", 1));
  if (step == 0) return Wrong("decoder_sparse_step is 0");
  for (size_t i = 0; i < out.layers.size(); ++i) {
    out.layers[i].sparse = out.experts > 0 && (i + 1) % step == 0;
  }
  const json::Value* dense = config.Find("mlp_only_layers");
  if (dense == nullptr || dense->is_null()) return Ok();
  for (const json::Value& index : dense->AsArray()) {
    out.layers.at(static_cast<size_t>(index.AsInt())).sparse = false;
  }
  return Ok();
}

Status ReadMixers(const json::Value& config, Config& out) {
  MACH_TRY(out.key_heads, Size(config, "linear_num_key_heads"));
  MACH_TRY(out.value_heads, Size(config, "linear_num_value_heads"));
  MACH_TRY(out.key_dim, Size(config, "linear_key_head_dim"));
  MACH_TRY(out.value_dim, Size(config, "linear_value_head_dim"));
  MACH_TRY(out.conv_kernel, Size(config, "linear_conv_kernel_dim", 4));
  if (out.key_heads == 0 || out.value_heads % out.key_heads != 0) {
    return Wrong("value heads are no multiple of key heads");
  }
  const json::Value* types = config.Find("layer_types");
  if (types != nullptr && types->is_array()) {
    if (types->AsArray().size() != out.layers.size()) return Wrong("length of layer_types");
    for (size_t i = 0; i < out.layers.size(); ++i) {
      const std::string& type = types->AsArray()[i].AsString();
      if (type != "full_attention" && type != "linear_attention")
        return Wrong("layer type " + type);
      out.layers[i].full_attention = type == "full_attention";
    }
    return Ok();
  }
  MACH_TRY(const size_t interval, Size(config, "full_attention_interval", 4));
  if (interval == 0) return Wrong("full_attention_interval is 0");
  for (size_t i = 0; i < out.layers.size(); ++i) {
    out.layers[i].full_attention = (i + 1) % interval == 0;
  }
  return Ok();
}

}  // namespace

Result<Config> ParseConfig(const json::Value& root) {
  const json::Value* text = root.Find("text_config");
  const json::Value& config = text != nullptr ? *text : root;
  Config out;
  MACH_TRY(const std::string type, json::GetString(config, "model_type"));
  if (type == "qwen3_5_moe" || type == "qwen3_5_moe_text") {
    out.family = Family::kQwen3_5Moe;
  } else if (type != "qwen3_moe") {
    return Wrong("model_type " + type);
  }
  MACH_TRY(out.vocab, Size(config, "vocab_size"));
  MACH_TRY(out.hidden, Size(config, "hidden_size"));
  MACH_TRY(const size_t layers, Size(config, "num_hidden_layers"));
  out.layers.resize(layers);
  MACH_TRY(out.heads, Size(config, "num_attention_heads"));
  MACH_TRY(out.kv_heads, Size(config, "num_key_value_heads"));
  if (out.kv_heads == 0 || out.heads % out.kv_heads != 0) return Wrong("attention heads");
  MACH_TRY(out.head_dim, Size(config, "head_dim", static_cast<int64_t>(out.hidden / out.heads)));
  MACH_TRY(out.norm_eps, json::GetDouble(config, "rms_norm_eps"));
  MACH_TRY(out.attention_bias, json::GetBool(config, "attention_bias", false));
  MACH_TRY(const bool root_tied, json::GetBool(root, "tie_word_embeddings", false));
  MACH_TRY(out.tied_head, json::GetBool(config, "tie_word_embeddings", root_tied));
  const bool local = config.Find("num_experts") == nullptr;
  MACH_TRY(out.experts, Size(config, local ? "num_local_experts" : "num_experts"));
  MACH_TRY(out.top_k, Size(config, "num_experts_per_tok"));
  if (out.top_k > out.experts) return Wrong("more experts per token than experts");
  MACH_RETURN_IF_ERROR(ReadRope(config, out));
  if (out.family == Family::kQwen3Moe) {
    MACH_TRY(out.norm_topk, json::GetBool(config, "norm_topk_prob", false));
    MACH_RETURN_IF_ERROR(ReadDenseLayers(config, out));
  } else {
    MACH_RETURN_IF_ERROR(ReadMixers(config, out));
  }
  return out;
}

Result<json::Value> ReadConfigFile(const std::string& directory) {
  MACH_TRY(const std::string text,
           io::ReadSmallFile(io::PosixFileSystem(), directory + "/config.json", size_t{1} << 24));
  return json::Parse(text);
}

}  // namespace mach::reference
