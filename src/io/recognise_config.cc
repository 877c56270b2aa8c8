#include <string>

#include "base/shell_words.h"
#include "io/path.h"
#include "io/recognise.h"
#include "json/value.h"

namespace mach::io {
namespace {

// Values of "quant_method", and what people know them as.
struct Method {
  std::string_view name;
  std::string_view known_as;
};
constexpr Method kMethods[] = {
    {"aqlm", "AQLM"},
    {"auto-round", "AutoRound"},
    {"awq", "AWQ"},
    {"bitnet", "BitNet"},
    {"bitsandbytes", "bitsandbytes"},
    {"compressed-tensors", "compressed-tensors (of llm-compressor and vLLM)"},
    {"eetq", "EETQ"},
    {"exl2", "EXL2 (of ExLlama)"},
    {"exl3", "EXL3 (of ExLlama)"},
    {"fbgemm_fp8", "FP8 (FBGEMM)"},
    {"fp8", "FP8"},
    {"gptq", "GPTQ"},
    {"higgs", "HIGGS"},
    {"hqq", "HQQ"},
    {"intel/auto-round", "AutoRound"},
    {"modelopt", "ModelOpt (FP8 or NVFP4 of NVIDIA)"},
    {"modelopt_fp4", "ModelOpt (NVFP4 of NVIDIA)"},
    {"mxfp4", "MXFP4"},
    {"quanto", "Quanto"},
    {"quark", "Quark (of AMD)"},
    {"spqr", "SpQR"},
    {"torchao", "TorchAO"},
    {"vptq", "VPTQ"},
};

// Files that tools leave beside a config.json that does not tell.
struct LeftBeside {
  std::string_view file;
  std::string_view known_as;
};
constexpr LeftBeside kLeftBeside[] = {
    {"quantize_config.json", "GPTQ (AutoGPTQ)"},
    {"quant_config.json", "AWQ (AutoAWQ)"},
    {"hf_quant_config.json", "ModelOpt (FP8 or NVFP4 of NVIDIA)"},
};

std::string KnownAs(const std::string& method) {
  for (const Method& known : kMethods) {
    if (known.name == method) return std::string(known.known_as);
  }
  return "'" + method.substr(0, 64) + "'";
}

const json::Value* ObjectAt(const json::Value& config, std::string_view key) {
  const json::Value* found = config.Find(key);
  return found != nullptr && found->is_object() ? found : nullptr;
}

Error NotRead(const std::string& path, const std::string& what, const std::string& by) {
  return {Code::kUnsupported,
          "'" + path + "' is quantized as " + what + " (" + by +
              "), which mach does not read; it reads " + std::string(kReadFormats) +
              ": download the model as published in 16 bits, or in MLX's format (mlx-community on "
              "Hugging Face has many)"};
}

// MLX's own scheme, one for all modules.
std::optional<Error> OddMlx(const std::string& path, const json::Value& scheme,
                            std::string_view key) {
  for (const json::Member& member : scheme.AsObject()) {
    if (member.value.is_object()) return std::nullopt;  // the tensors tell
  }
  const std::string by = "'" + std::string(key) + "' in config.json";
  const json::Value* mode = scheme.Find("mode");
  if (mode != nullptr && mode->is_string() && mode->AsString() != "affine") {
    return NotRead(path, "MLX " + mode->AsString().substr(0, 32), by);
  }
  const json::Value* bits = scheme.Find("bits");
  if (bits == nullptr || !bits->is_int() || bits->AsInt() == 4 || bits->AsInt() == 8) {
    return std::nullopt;
  }
  return NotRead(path, "MLX affine " + std::to_string(bits->AsInt()) + " bit", by);
}

// What a drafter's name says of its model: "m" of "m-dflash", of "m/dflash".
std::string ModelOf(FileSystem& fs, const std::string& drafter) {
  for (const std::string_view suffix : {"-dflash", "-DFlash", "/dflash"}) {
    if (!drafter.ends_with(suffix)) continue;
    std::string model = drafter.substr(0, drafter.size() - suffix.size());
    if (fs.Exists(JoinPath(model, "config.json"))) return model;
  }
  return "";
}

std::string FirstArchitecture(const json::Value& config) {
  const json::Value* names = config.Find("architectures");
  if (names == nullptr || !names->is_array() || names->AsArray().empty()) return "";
  const json::Value& name = names->AsArray().front();
  return name.is_string() ? name.AsString().substr(0, 128) : "";
}

}  // namespace

bool IsDrafterConfig(const json::Value& config) {
  if (ObjectAt(config, "dflash_config") != nullptr) return true;
  return FirstArchitecture(config).find("DFlash") != std::string::npos;
}

std::optional<Error> RecogniseRole(FileSystem& fs, const std::string& given,
                                   const json::Value& config, Wanted wanted) {
  const std::string path = WithoutSlash(given);
  const bool drafter = IsDrafterConfig(config);
  if (wanted == Wanted::kModel) {
    if (!drafter) return std::nullopt;
    const std::string model = ModelOf(fs, path);
    return Error{Code::kInvalidArgument,
                 "'" + path +
                     "' is a drafter (DFlash), which proposes tokens for a model and is none "
                     "itself; give the model" +
                     (model.empty() ? "" : ", '" + model + "',") + " and '--draft-dir " +
                     ShellQuoted(path) + "' beside it"};
  }
  // Drafters of other kinds are refused by their own names.
  const std::string name = FirstArchitecture(config);
  const bool model = name.ends_with("ForCausalLM") || name.ends_with("ForConditionalGeneration");
  if (drafter || !model || config.Find("num_target_layers") != nullptr) return std::nullopt;
  return Error{Code::kInvalidArgument,
               "'" + path + "' is a model (" + name +
                   "), no drafter; --draft-dir wants the directory of a DFlash drafter "
                   "(DFlashDraftModel in its config.json); give that, or --target-only to do "
                   "without"};
}

std::optional<Error> RecogniseQuantization(FileSystem& fs, const std::string& given,
                                           const json::Value& config) {
  const std::string path = WithoutSlash(given);
  // As MLX reads it: its own key decides, where there is one.
  if (const json::Value* own = ObjectAt(config, "quantization")) {
    return OddMlx(path, *own, "quantization");
  }
  const json::Value* text = ObjectAt(config, "text_config");
  for (const json::Value* from : {&config, text}) {
    const json::Value* found = from == nullptr ? nullptr : ObjectAt(*from, "quantization_config");
    if (found == nullptr) continue;
    const json::Value* method = found->Find("quant_method");
    if (method == nullptr || !method->is_string()) {
      return OddMlx(path, *found, "quantization_config");
    }
    std::string what = KnownAs(method->AsString());
    const json::Value* bits = found->Find("bits");
    if (bits != nullptr && bits->is_int()) what += ", " + std::to_string(bits->AsInt()) + " bit";
    return NotRead(path, what, "'quantization_config' in config.json");
  }
  for (const LeftBeside& left : kLeftBeside) {
    if (!fs.Exists(JoinPath(path, left.file))) continue;
    return NotRead(path, std::string(left.known_as), std::string(left.file) + " is there");
  }
  return std::nullopt;
}

}  // namespace mach::io
