// What the reference needs of config.json, in every spelling of it.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace mach::reference {

enum class Family { kQwen3Moe, kQwen3_5Moe };

inline void PrintTo(Family family, std::ostream* out) {
  *out << (family == Family::kQwen3Moe ? "qwen3_moe" : "qwen3_5_moe");
}

struct LayerKind {
  bool full_attention = true;  // else gated delta net
  bool sparse = true;          // experts, else one dense MLP
};

struct Config {
  Family family = Family::kQwen3Moe;
  size_t vocab = 0;
  size_t hidden = 0;
  size_t heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t rotary_dims = 0;  // the first of each head
  double rope_theta = 0;
  double norm_eps = 0;
  bool attention_bias = false;
  bool tied_head = false;
  size_t experts = 0;
  size_t top_k = 0;
  bool norm_topk = true;  // chosen probabilities are divided by their sum
  size_t key_heads = 0;   // of gated delta nets, as the four below
  size_t value_heads = 0;
  size_t key_dim = 0;
  size_t value_dim = 0;
  size_t conv_kernel = 0;
  std::vector<LayerKind> layers;
};

// root: the whole config.json; the text model's part may lie in text_config.
Result<Config> ParseConfig(const json::Value& root);

// DIRECTORY/config.json.
Result<json::Value> ReadConfigFile(const std::string& directory);

}  // namespace mach::reference
