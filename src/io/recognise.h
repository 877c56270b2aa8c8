// What people give in place of a checkpoint, and what to do about it.
//
// Looks at names, first bytes and small JSON files; reads no tensor. What cannot be looked at is
// not recognised: the caller has an error of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/file.h"
#include "json/value.h"

namespace mach::io {

// What is read, for messages.
inline constexpr std::string_view kReadFormats =
    "safetensors in BF16, F16 or F32, or MLX affine 4 and 8 bit";

struct Recognised {
  std::string_view kind;  // of recognise.cc's table: "hub id", "gguf", "missing"
  Error error;            // what was given, what it is, what to do
};

// What a path is instead of a directory with a checkpoint. Nothing for a directory with config.json
// and *.safetensors files, whatever is wrong with them.
std::optional<Recognised> RecogniseOther(FileSystem& fs, const std::string& path);

enum class Wanted : unsigned char { kModel, kDrafter };

// A drafter where a model is wanted, or the other way round. config: of `path`.
std::optional<Error> RecogniseRole(FileSystem& fs, const std::string& path,
                                   const json::Value& config, Wanted wanted);
// Whether config.json is a DFlash drafter's.
bool IsDrafterConfig(const json::Value& config);

// Weights in a quantized format that is not read, by config.json ("quantization_config", MLX's
// "quantization") or by the file that a tool leaves beside it. What differs from module to module
// is left to the tensors.
std::optional<Error> RecogniseQuantization(FileSystem& fs, const std::string& path,
                                           const json::Value& config);

// Of a folder of Hugging Face's cache ("models--ORG--NAME"): "ORG/NAME", or empty.
std::string HubCacheId(std::string_view path);
// Its snapshot: the one of refs/main, else the last by name. Empty without one.
std::string HubCacheSnapshot(FileSystem& fs, const std::string& path);

}  // namespace mach::io
