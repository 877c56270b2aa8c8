// Element types of tensors in files and in memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace mach::tensor {

enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kF8E4M3,
  kF8E5M2
};

size_t DTypeBytes(DType dtype);
std::string_view DTypeName(DType dtype);  // safetensors spelling: "BF16"
std::optional<DType> DTypeFromName(std::string_view name);

// bfloat16 is the upper half of a float32.
inline float BF16ToF32(uint16_t h) { return std::bit_cast<float>(uint32_t{h} << 16); }
// Round to nearest, ties to even; NaN stays NaN.
uint16_t F32ToBF16(float f);
// IEEE 754 binary16.
float F16ToF32(uint16_t h);
uint16_t F32ToF16(float f);

// One element of a float type (kF16, kBF16, kF32, kF64), at any alignment.
float LoadFloat(DType dtype, const std::byte* p);

}  // namespace mach::tensor
