#include "model/synth/noise.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quant/affine.h"
#include "tensor/dtype.h"

namespace mach::model {
namespace {

using Kind = Noise::Kind;
using tensor::DType;

std::vector<std::byte> Filled(const Noise& noise, const NoiseStream& stream, size_t bytes) {
  std::vector<std::byte> out(bytes);
  FillNoise(noise, stream, 0, out);
  return out;
}

struct Moments {
  double mean = 0;
  double deviation = 0;
};
Moments MomentsOf(const std::vector<float>& values) {
  double sum = 0;
  double squares = 0;
  for (const float v : values) {
    sum += static_cast<double>(v);
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  const double n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n))};
}

std::vector<float> Floats(const std::vector<std::byte>& bytes, DType dtype) {
  std::vector<float> values;
  for (size_t at = 0; at < bytes.size(); at += tensor::DTypeBytes(dtype)) {
    values.push_back(tensor::LoadFloat(dtype, bytes.data() + at));
  }
  return values;
}

TEST(Noise, DoesNotDependOnThePieces) {
  const NoiseStream stream(3, "some.module");
  for (const Kind kind : {Kind::kUniformBF16, Kind::kCodes, Kind::kScales, Kind::kBiases,
                          Kind::kDecay, Kind::kTimeStep}) {
    const Noise noise{.kind = kind, .deviation = 0.1, .bits = 4};
    const std::vector<std::byte> whole = Filled(noise, stream, 1004);
    for (const size_t piece : {size_t{8}, size_t{24}, size_t{1000}}) {
      std::vector<std::byte> pieces(whole.size());
      for (size_t at = 0; at < pieces.size(); at += piece) {
        const size_t bytes = std::min(piece, pieces.size() - at);
        FillNoise(noise, stream, at, std::span(pieces).subspan(at, bytes));
      }
      EXPECT_EQ(pieces, whole) << "kind " << static_cast<int>(kind) << ", pieces of " << piece;
    }
  }
}

TEST(Noise, DependsOnSeedAndName) {
  const Noise noise{.kind = Kind::kCodes};
  const auto of = [&](uint64_t seed, const char* name) {
    return Filled(noise, NoiseStream(seed, name), 256);
  };
  EXPECT_EQ(of(1, "a"), of(1, "a"));
  EXPECT_NE(of(1, "a"), of(2, "a"));
  EXPECT_NE(of(1, "a"), of(1, "b"));
  EXPECT_NE(of(0, ""), of(1, ""));
}

TEST(Noise, DenseWeightsHaveTheirMoments) {
  const Noise noise{.mean = 0.5, .deviation = 0.02};
  const Moments m = MomentsOf(Floats(Filled(noise, NoiseStream(1, "w"), 1 << 18), DType::kBF16));
  EXPECT_NEAR(m.mean, 0.5, 0.0005);
  EXPECT_NEAR(m.deviation, 0.02, 0.0005);
}

TEST(Noise, AffineWeightsHaveTheirMoments) {
  constexpr size_t kRows = 256;
  constexpr size_t kCols = 512;
  constexpr double kDeviation = 0.02;
  for (const int bits : {4, 8}) {
    SCOPED_TRACE(bits);
    const NoiseStream groups(1, "w.scales");
    const size_t group_bytes = kRows * kCols / 64 * 2;
    const auto codes = Filled({.kind = Kind::kCodes}, NoiseStream(1, "w.weight"),
                              kRows * kCols * static_cast<size_t>(bits) / 8);
    const auto scales =
        Filled({.kind = Kind::kScales, .deviation = kDeviation, .bits = bits}, groups, group_bytes);
    const auto biases =
        Filled({.kind = Kind::kBiases, .deviation = kDeviation, .bits = bits}, groups, group_bytes);
    const quant::AffineView view{.rows = kRows,
                                 .cols = kCols,
                                 .bits = bits,
                                 .packed = codes.data(),
                                 .scales = scales.data(),
                                 .biases = biases.data()};
    std::vector<float> values(kRows * kCols);
    for (size_t r = 0; r < kRows; ++r) {
      quant::AffineRow(view, r, std::span(values).subspan(r * kCols, kCols));
    }
    const Moments m = MomentsOf(values);
    EXPECT_NEAR(m.mean, 0, 0.01 * kDeviation);
    EXPECT_NEAR(m.deviation, kDeviation, 0.01 * kDeviation);
    size_t negative = 0;
    const std::vector<float> scale = Floats(scales, DType::kBF16);
    for (const float s : scale) negative += s < 0 ? 1 : 0;
    EXPECT_NEAR(static_cast<double>(negative) / static_cast<double>(scale.size()), 0.5, 0.05);
  }
}

TEST(Noise, GatedDeltaNetsDecay) {
  const NoiseStream stream(1, "x");
  for (const float a_log : Floats(Filled({.kind = Kind::kDecay}, stream, 4096), DType::kF32)) {
    EXPECT_GE(a_log, 0.0f);
    EXPECT_LE(a_log, std::log(16.0f));
  }
  for (const float bias : Floats(Filled({.kind = Kind::kTimeStep}, stream, 4096), DType::kBF16)) {
    const double step = std::log1p(std::exp(static_cast<double>(bias)));
    EXPECT_GE(step, 0.00097);
    EXPECT_LE(step, 0.103);
  }
}

}  // namespace
}  // namespace mach::model
