// Headers of safetensors files: 8 bytes little-endian length, a JSON object of that length, the
// data. https://github.com/huggingface/safetensors#format
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {

// Ceilings of what is read and written.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = uint64_t{100} << 20;
inline constexpr size_t kMaxTensorRank = 8;
inline constexpr size_t kMaxTensorNameBytes = 1024;

// Bytes of a dense tensor, or nothing when they pass 64 bits. A zero anywhere makes it empty,
// whatever the other dimensions are.
std::optional<uint64_t> DenseBytes(std::span<const uint64_t> shape, tensor::DType dtype);

struct TensorEntry {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<uint64_t> shape = {};
  uint64_t offset = 0;  // in the file
  uint64_t bytes = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in file order
  json::Object metadata;             // "__metadata__"
};

// Reads and checks the header alone: its length against the file and the ceiling, every name,
// dtype, shape and range; sizes that fit their shapes; ranges that cover the data without holes or
// overlaps; names that occur once. kUnsupported for a dtype that Mach does not know, kCorrupt for
// the rest; the message names the file, the tensor and the field.
Result<SafetensorsHeader> ReadSafetensorsHeader(File& file);

}  // namespace mach::io
