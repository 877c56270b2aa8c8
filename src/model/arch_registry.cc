#include "model/arch_registry.h"

#include "json/value.h"

namespace mach::model {
namespace {

constexpr std::array kArchs = {
    Arch{"qwen3_5_moe", "qwen3_5_moe_text", "qwen35moe",
         "Qwen3.5 and Qwen3.6 MoE (35B-A3B, 122B-A10B, 397B-A17B)",
         "gated delta net, gated attention", &ParseQwen35Moe},
    Arch{"qwen3_moe", "qwen3_moe", "qwen3moe", "Qwen3 MoE (30B-A3B, 235B-A22B), Qwen3-Coder",
         "attention", &ParseQwen3Moe},
};

consteval bool NamesUnique() {
  for (size_t i = 0; i < kArchs.size(); ++i) {
    for (size_t j = i + 1; j < kArchs.size(); ++j) {
      if (kArchs[i].name == kArchs[j].name || kArchs[i].text_type == kArchs[j].text_type ||
          kArchs[i].gguf_name == kArchs[j].gguf_name) {
        return false;
      }
    }
  }
  return true;
}
static_assert(NamesUnique());

// Whether the config says that there are experts, in any family's words.
bool HasExperts(const json::Value& config) {
  for (const json::Value* from : {&config, config.Find("text_config")}) {
    if (from == nullptr) continue;
    for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts",
                            "moe_num_experts", "num_experts_per_tok", "moe_intermediate_size"}) {
      const json::Value* found = from->Find(key);
      if (found != nullptr && found->is_int() && found->AsInt() > 0) return true;
    }
  }
  return false;
}

Error UnknownArch(const std::string& type, const json::Value& config) {
  std::string known;
  for (const Arch& a : kArchs) known += (known.empty() ? "" : ", ") + std::string(a.name);
  known += " ('mach archs' says which models these are)";
  if (type.empty()) {
    return {
        Code::kUnsupported,
        "config.json: there is no 'model_type', which names the architecture; expected one of " +
            known};
  }
  return {Code::kUnsupported, "config.json: architecture '" + type + "'" +
                                  (HasExperts(config) ? "" : ", a dense model (without experts),") +
                                  " is not one that Mach runs: " + known};
}

Result<std::string> TypeOf(const json::Value& config) {
  auto type = json::GetString(config, "model_type", "");
  if (!type) return Error{Code::kUnsupported, "config.json: " + type.error().message};
  return type;
}

}  // namespace

std::span<const Arch> Archs() { return kArchs; }

const Arch* FindArch(std::string_view model_type) {
  for (const Arch& arch : kArchs) {
    if (arch.name == model_type || arch.text_type == model_type) return &arch;
  }
  return nullptr;
}

Result<ModelConfig> ParseConfig(const json::Value& config) {
  MACH_TRY(std::string type, TypeOf(config));
  const json::Value* text = config.Find("text_config");
  const Arch* arch = FindArch(type);
  if (arch == nullptr && text != nullptr) {
    MACH_TRY(const std::string inner, TypeOf(*text));
    arch = FindArch(inner);
    if (type.empty()) type = inner;
  }
  if (arch == nullptr) return UnknownArch(type, config);
  MACH_TRY(ModelConfig parsed, arch->parse(config));
  parsed.architecture = arch->name;
  return parsed;
}

}  // namespace mach::model
