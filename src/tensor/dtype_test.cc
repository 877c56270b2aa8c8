#include "tensor/dtype.h"

#include <cmath>

#include <gtest/gtest.h>

namespace mach::tensor {
namespace {

TEST(DType, NamesRoundTrip) {
  for (const DType t : {DType::kBool, DType::kU32, DType::kBF16, DType::kF32, DType::kF8E5M2}) {
    EXPECT_EQ(DTypeFromName(DTypeName(t)), t);
  }
  EXPECT_EQ(DTypeFromName("F32 "), std::nullopt);
  EXPECT_EQ(DTypeBytes(DType::kBF16), 2u);
}

TEST(DType, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    if (std::isnan(F16ToF32(half))) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(F16ToF32(half)))));
    } else {
      EXPECT_EQ(F32ToF16(F16ToF32(half)), half);
    }
    if (!std::isnan(BF16ToF32(half))) {
      EXPECT_EQ(F32ToBF16(BF16ToF32(half)), half);
    }
  }
}

TEST(DType, RoundsToNearestTiesToEven) {
  EXPECT_EQ(F16ToF32(F32ToF16(1.0f + 0x1p-11f)), 1.0f);                // tie, even below
  EXPECT_EQ(F16ToF32(F32ToF16(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);  // tie, even above
  EXPECT_EQ(F16ToF32(F32ToF16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(F16ToF32(F32ToF16(65520.0f))));
  EXPECT_EQ(F16ToF32(F32ToF16(0x1p-25f)), 0.0f);
  EXPECT_EQ(F16ToF32(F32ToF16(0x1.8p-24f)), 0x1p-23f);
  EXPECT_EQ(BF16ToF32(F32ToBF16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(BF16ToF32(F32ToBF16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
}

}  // namespace
}  // namespace mach::tensor
