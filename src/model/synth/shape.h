// The sizes of a synthetic checkpoint, and the config.json that says them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "json/value.h"

namespace mach::model {

enum class SynthFamily : unsigned char { kQwen3Moe, kQwen35Moe };

// The registry's name, and back.
std::string_view SynthFamilyName(SynthFamily family);
std::optional<SynthFamily> SynthFamilyFromName(std::string_view name);

// What a family does not have (qwen3_moe: shared_width and below) is ignored.
struct SynthShape {
  SynthFamily family = SynthFamily::kQwen35Moe;
  size_t layers = 4;
  size_t hidden = 256;
  size_t experts = 16;
  size_t top_k = 4;
  size_t width = 128;  // of a routed expert
  size_t heads = 4;
  size_t kv_heads = 2;
  size_t head_dim = 64;
  size_t vocab = 8192;
  size_t context = 8192;  // positions
  size_t shared_width = 128;
  size_t linear_key_heads = 2;
  size_t linear_value_heads = 4;
  size_t linear_head_dim = 64;    // of keys and of values
  size_t attention_interval = 4;  // every so manieth layer has full attention
};

// "35b-a3b" (Qwen3.6-35B-A3B), "30b-a3b" (Qwen3-30B-A3B); nothing for other names.
std::optional<SynthShape> SynthPreset(std::string_view name);

// A config.json in the family's published form, dense: without "quantization".
json::Object SynthConfig(const SynthShape& shape);

}  // namespace mach::model
