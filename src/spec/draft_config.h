// The config.json of a DFlash drafter (arXiv 2602.06036 and its authors' checkpoints).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "json/value.h"
#include "model/config.h"

namespace mach::spec {

// Rows of one verify pass: the anchor (the last token, which the target has not seen yet) and 15
// drafts.
inline constexpr size_t kMaxBlock = 16;

struct DraftLayerConfig {
  size_t window = 0;    // positions that a slot attends to, itself included; 0: all
  bool causal = false;  // within the block; else every slot attends to every slot
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
  std::vector<uint32_t> taps;  // target layers whose output the drafter reads, ascending
  std::vector<DraftLayerConfig> layers;
};

// Reads both layouts: block_size, rope_theta and the like at the top level, or in dflash_config and
// rope_parameters; dflash_config wins. kUnsupported for variants that would draft wrong tokens
// without an error: DFlash 2, shifted labels, scaled or interleaved rotary embeddings, attention
// sinks, a vocabulary of the drafter's own, scaled embeddings.
Result<DraftConfig> ParseDraftConfig(const json::Value& config);

// kInvalidArgument where the drafter was made for another target: hidden size, vocabulary, layers.
Status CheckPairing(const DraftConfig& draft, const model::ModelConfig& target);

}  // namespace mach::spec
