// What a DFlash drafter is, from its config.json (arXiv 2602.06036 and the files of its authors).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "json/value.h"
#include "model/config.h"

namespace mach::spec {

inline constexpr size_t kMaxBlock = 16;  // rows of one verify pass: the anchor and 15 drafts

struct DraftLayerConfig {
  size_t window = 0;    // positions that a slot sees, itself included; 0: all
  bool causal = false;  // within the block; else every slot sees every slot
};

struct DraftConfig {
  size_t hidden = 0;
  size_t width = 0;  // of the feed-forward layers
  size_t heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t vocab = 0;
  size_t target_layers = 0;
  size_t block_size = 0;  // slots, the anchor included; at most kMaxBlock are used
  TokenId mask_token = 0;
  float norm_eps = 0;
  double rope_theta = 0;
  std::vector<uint32_t> taps;  // target layers whose output it reads, ascending
  std::vector<DraftLayerConfig> layers;
};

// Both layouts: block_size, rope_theta and the like at the top level, or in dflash_config and
// rope_parameters; dflash_config wins. kUnsupported for what would draft wrongly without an error:
// DFlash 2, shifted labels, scaled or interleaved rotary embeddings, attention sinks, vocabularies
// of its own, scaled embeddings.
Result<DraftConfig> ParseDraftConfig(const json::Value& config);

// Whether the drafter was made for such a target: sizes, layers, ids.
Status CheckPairing(const DraftConfig& draft, const model::ModelConfig& target);

}  // namespace mach::spec
