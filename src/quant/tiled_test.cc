#include "quant/tiled.h"

#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace mach::quant {
namespace {

using tensor::DType;
using testing::HasSubstr;

std::vector<std::byte> RandomBytes(size_t n, uint64_t seed) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(UniformAt(seed, i) * 256);
  return bytes;
}

std::vector<std::byte> RandomFloatsAs(DType type, size_t n, uint64_t seed) {
  const size_t size = tensor::DTypeBytes(type);
  std::vector<std::byte> bytes(n * size);
  for (size_t i = 0; i < n; ++i) {
    const auto value = static_cast<float>(UniformAt(seed, i) * 2 - 1);
    const uint16_t half = type == DType::kF16 ? tensor::F32ToF16(value) : tensor::F32ToBF16(value);
    std::memcpy(bytes.data() + i * size,
                type == DType::kF32 ? static_cast<const void*>(&value) : &half, size);
  }
  return bytes;
}

TEST(TiledLayout, CountsBytes) {
  const TiledLayout affine{33, 256, DType::kBF16, 4, 64};
  EXPECT_EQ(affine.tiles(), 3u);
  EXPECT_EQ(affine.block_bytes(), 576u);
  EXPECT_EQ(affine.bytes(), 3 * 4 * 576u);
  EXPECT_EQ((TiledLayout{16, 128, DType::kF32, 8, 128}.block_bytes()), 128 + 2048u);
  EXPECT_EQ((TiledLayout{17, 10, DType::kF16, 0, 0}.bytes()), 2 * 10 * 32u);
}

TEST(ValidateLayout, TakesWhatKernelsRead) {
  for (const DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_TRUE(ValidateLayout({5, 7, type, 0, 0}).ok());
    for (const int bits : {4, 8}) {
      for (const int group : {32, 64, 128}) {
        EXPECT_TRUE(ValidateLayout({5, 256, type, bits, group}).ok());
      }
    }
  }
}

TEST(ValidateLayout, RefusesTheRestAndSaysWhy) {
  const auto refusal = [](const TiledLayout& l) {
    const Status status = ValidateLayout(l);
    return status.ok() ? std::string("taken") : status.error().message;
  };
  EXPECT_THAT(refusal({5, 256, DType::kI8, 0, 0}), HasSubstr("of I8: weights and scales are F32"));
  EXPECT_THAT(refusal({5, 256, DType::kF16, 3, 64}), HasSubstr("4 and 8 bits"));
  EXPECT_THAT(refusal({5, 256, DType::kF16, -4, 64}), HasSubstr("4 and 8 bits"));
  EXPECT_THAT(refusal({5, 256, DType::kF16, 4, 16}), HasSubstr("32, 64 and 128"));
  EXPECT_THAT(refusal({5, 256, DType::kF16, 4, 0}), HasSubstr("32, 64 and 128"));
  EXPECT_THAT(refusal({5, 96, DType::kF16, 4, 64}), HasSubstr("does not divide"));
  EXPECT_THAT(refusal({5, 96, DType::kF16, 0, 64}), HasSubstr("no groups"));
  EXPECT_THAT(refusal({0, 64, DType::kF16, 4, 64}), HasSubstr("empty"));
  EXPECT_THAT(refusal({5, 0, DType::kF16, 0, 0}), HasSubstr("empty"));
  EXPECT_THAT(refusal({size_t{1} << 40, 64, DType::kF16, 4, 64}), HasSubstr("at most"));
  EXPECT_THAT(refusal({5, size_t{1} << 60, DType::kF16, 0, 0}), HasSubstr("at most"));
}

TEST(PackAffine, RoundTripsEveryFormat) {
  for (const int bits : {4, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
        AffineView view{37, 256, bits, group, type, nullptr, nullptr, nullptr};
        const size_t groups = view.rows * view.cols / static_cast<size_t>(group);
        const auto codes = RandomBytes(view.rows * view.cols * static_cast<size_t>(bits) / 8, 1);
        const auto scales = RandomFloatsAs(type, groups, 2);
        const auto biases = RandomFloatsAs(type, groups, 3);
        view.packed = codes.data();
        view.scales = scales.data();
        view.biases = biases.data();
        const TiledLayout layout = AffineLayout(view);
        std::vector<std::byte> packed(layout.bytes(), std::byte{0xEE});
        PackAffine(view, packed.data());
        std::vector<float> expected(view.cols);
        std::vector<float> got(view.cols);
        for (size_t row = 0; row < view.rows; ++row) {
          AffineRow(view, row, expected);
          UnpackRow({layout, packed.data()}, row, got);
          ASSERT_EQ(expected, got) << "row " << row << ", bits " << bits << ", group " << group;
        }
      }
    }
  }
}

// The layout is a file format: its bytes, by the words of tiled.h.
TEST(PackAffine, PutsEveryByteWhereTheFormatSays) {
  AffineView view{18, 64, 4, 32, DType::kF16, nullptr, nullptr, nullptr};
  const auto codes = RandomBytes(view.rows * view.cols / 2, 1);
  const auto scales = RandomFloatsAs(DType::kF16, view.rows * 2, 2);
  const auto biases = RandomFloatsAs(DType::kF16, view.rows * 2, 3);
  view.packed = codes.data();
  view.scales = scales.data();
  view.biases = biases.data();
  std::vector<std::byte> packed(AffineLayout(view).bytes(), std::byte{0xEE});
  PackAffine(view, packed.data());

  // Row 17 is row 1 of the second tile; its second group starts at block 3.
  const size_t block = 3 * (64 + 256);
  EXPECT_EQ(packed[block + 2], scales[(17 * 2 + 1) * 2]);
  EXPECT_EQ(packed[block + 32 + 3], biases[(17 * 2 + 1) * 2 + 1]);
  // Columns 32 + 8 .. 32 + 15 of row 17: the second 64 bytes of codes, bytes 4 to 7.
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t low = AffineCode(view, 17, 32 + 8 + i);
    const uint32_t high = AffineCode(view, 17, 32 + 8 + 4 + i);
    EXPECT_EQ(std::to_integer<uint32_t>(packed[block + 64 + 64 + 4 + i]), low | high << 4);
  }
  // Rows 18 to 31 are padding.
  EXPECT_EQ(packed[block + 2 * 2], std::byte{0});
  EXPECT_EQ(packed[block + 64 + 4 * 2], std::byte{0});

  view.bits = 8;
  const auto bytes = RandomBytes(view.rows * view.cols, 4);
  view.packed = bytes.data();
  packed.assign(AffineLayout(view).bytes(), std::byte{0xEE});
  PackAffine(view, packed.data());
  const size_t block8 = 3 * (64 + 512);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(packed[block8 + 64 + 2 * 64 + 4 + i], bytes[17 * 64 + 32 + 8 + i]);
  }
}

TEST(PackDense, TransposesWithinTilesAndPadsWithZeros) {
  const TiledLayout layout{19, 5, DType::kBF16, 0, 0};
  const auto dense = RandomFloatsAs(DType::kBF16, 19 * 5, 5);
  std::vector<std::byte> packed(layout.bytes(), std::byte{0xEE});
  PackDense(layout, dense.data(), packed.data());
  // Row 18 (row 2 of tile 1), column 3.
  const size_t at = (5 + 3) * 32 + 2 * 2;
  EXPECT_EQ(packed[at], dense[(18 * 5 + 3) * 2]);
  EXPECT_EQ(packed[at + 1], dense[(18 * 5 + 3) * 2 + 1]);
  EXPECT_EQ(packed[at + 2], std::byte{0});
  std::vector<float> row(5);
  for (size_t r = 0; r < 19; ++r) {
    UnpackRow({layout, packed.data()}, r, row);
    for (size_t k = 0; k < 5; ++k) {
      EXPECT_EQ(row[k], tensor::LoadFloat(DType::kBF16, dense.data() + (r * 5 + k) * 2));
    }
  }
}

}  // namespace
}  // namespace mach::quant
