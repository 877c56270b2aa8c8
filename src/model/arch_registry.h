// The architectures that Mach runs: one row and one file each.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "base/result.h"
#include "json/value.h"
#include "model/config.h"

namespace mach::model {

struct Arch {
  std::string_view name;       // model_type of config.json, and of the registry
  std::string_view text_type;  // model_type within text_config, or another spelling of name
  std::string_view gguf_name;  // "general.architecture"
  std::string_view models;     // what people know it as
  std::string_view mixers;     // for `mach archs`
  Result<ModelConfig> (*parse)(const json::Value& config);
};

std::span<const Arch> Archs();
// By name or text_type; null when there is none.
const Arch* FindArch(std::string_view model_type);

// Finds the row for a config.json ("model_type", else text_config's) and parses it.
Result<ModelConfig> ParseConfig(const json::Value& config);

// One per architecture, in arch/.
Result<ModelConfig> ParseQwen3Moe(const json::Value& config);
Result<ModelConfig> ParseQwen35Moe(const json::Value& config);

}  // namespace mach::model
