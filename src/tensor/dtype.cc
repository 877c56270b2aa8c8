#include "tensor/dtype.h"

#include <array>
#include <cmath>

#include "base/check.h"

namespace mach::tensor {
namespace {

struct Row {
  std::string_view name;
  size_t bytes;
};
// In the order of DType.
constexpr std::array<Row, 15> kRows = {{{"BOOL", 1},
                                        {"U8", 1},
                                        {"I8", 1},
                                        {"U16", 2},
                                        {"I16", 2},
                                        {"U32", 4},
                                        {"I32", 4},
                                        {"U64", 8},
                                        {"I64", 8},
                                        {"F16", 2},
                                        {"BF16", 2},
                                        {"F32", 4},
                                        {"F64", 8},
                                        {"F8_E4M3", 1},
                                        {"F8_E5M2", 1}}};

template <class T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

}  // namespace

size_t DTypeBytes(DType dtype) { return kRows[static_cast<size_t>(dtype)].bytes; }
std::string_view DTypeName(DType dtype) { return kRows[static_cast<size_t>(dtype)].name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

uint16_t F32ToBF16(float f) {
  const auto bits = std::bit_cast<uint32_t>(f);
  if (std::isnan(f)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float F16ToF32(uint16_t h) {
  const uint32_t sign = uint32_t{h & 0x8000u} << 16;
  const uint32_t exponent = h >> 10 & 0x1F;
  const uint32_t mantissa = h & 0x3FF;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | mantissa << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t F32ToF16(float f) {
  const auto bits = std::bit_cast<uint32_t>(f);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;   // NaN
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // rounds past 65504
  if (magnitude < 0x38800000) {                       // subnormal or zero
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(scaled)));
  }
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

float LoadFloat(DType dtype, const std::byte* p) {
  switch (dtype) {
    case DType::kF32:
      return Load<float>(p);
    case DType::kBF16:
      return BF16ToF32(Load<uint16_t>(p));
    case DType::kF16:
      return F16ToF32(Load<uint16_t>(p));
    case DType::kF64:
      return static_cast<float>(Load<double>(p));
    default:
      break;
  }
  MACH_CHECK(false && "LoadFloat of a type that is no float");
  return 0;
}

}  // namespace mach::tensor
