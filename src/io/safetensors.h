// Headers of safetensors files: 8 bytes little-endian length, a JSON object of that length, the
// data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {

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

// Reads and checks the header alone: its length against the file and a ceiling of 100 MiB, every
// dtype, shape, and range; sizes that fit their shapes; ranges within the file and not overlapping.
Result<SafetensorsHeader> ReadSafetensorsHeader(File& file);

}  // namespace mach::io
