#include "model/synth/noise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/dtype.h"

namespace mach::model {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;

// Scales of groups spread uniformly over this part of their mean, to either side.
constexpr double kScaleSpread = 0.25;

uint64_t Mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

// In [0, 1), of the upper bits.
double Unit(uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

// Round to nearest; finite values only.
uint16_t RoundToBF16(float f) {
  return static_cast<uint16_t>((std::bit_cast<uint32_t>(f) + 0x8000) >> 16);
}

// One word a group: its sign and its scale.
float GroupScale(const Noise& noise, uint64_t word) {
  const double levels = std::exp2(noise.bits);
  const double of_codes = std::sqrt((levels * levels - 1) / 12);
  const double of_scales = std::sqrt(1 + kScaleSpread * kScaleSpread / 3);
  const double factor = 1 + kScaleSpread * (2 * Unit(word) - 1);
  const double scale = noise.deviation / of_codes / of_scales * factor;
  return tensor::BF16ToF32(RoundToBF16(static_cast<float>((word & 1) != 0 ? -scale : scale)));
}

// Copies values of T made one a word.
template <class T, class Make>
void FillValues(const NoiseStream& stream, uint64_t offset, std::span<std::byte> out, Make make) {
  const uint64_t first = offset / sizeof(T);
  for (size_t i = 0; i < out.size() / sizeof(T); ++i) {
    const T value = make(stream.At(first + i));
    std::memcpy(out.data() + i * sizeof(T), &value, sizeof(T));
  }
}

void FillCodes(const NoiseStream& stream, uint64_t offset, std::span<std::byte> out) {
  for (size_t i = 0; i < out.size(); i += 8) {
    const uint64_t word = stream.At((offset + i) / 8);
    std::memcpy(out.data() + i, &word, std::min<size_t>(8, out.size() - i));
  }
}

// Four values a word.
void FillUniform(const Noise& noise, const NoiseStream& stream, uint64_t offset,
                 std::span<std::byte> out) {
  const auto mean = static_cast<float>(noise.mean);
  const auto step = static_cast<float>(noise.deviation * std::sqrt(3.0) / 32768);
  for (size_t i = 0; i < out.size(); i += 8) {
    const uint64_t word = stream.At((offset + i) / 8);
    uint64_t packed = 0;
    for (int k = 0; k < 64; k += 16) {
      const auto drawn = static_cast<int16_t>(word >> k);
      const float value = mean + (static_cast<float>(drawn) + 0.5f) * step;
      packed |= uint64_t{RoundToBF16(value)} << k;
    }
    std::memcpy(out.data() + i, &packed, std::min<size_t>(8, out.size() - i));
  }
}

}  // namespace

NoiseStream::NoiseStream(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  key_ = Mix(Mix(seed + kGolden) ^ hash);
}

uint64_t NoiseStream::At(uint64_t index) const { return Mix(key_ + (index + 1) * kGolden); }

void FillNoise(const Noise& noise, const NoiseStream& stream, uint64_t offset,
               std::span<std::byte> out) {
  switch (noise.kind) {
    case Noise::Kind::kUniformBF16:
      return FillUniform(noise, stream, offset, out);
    case Noise::Kind::kCodes:
      return FillCodes(stream, offset, out);
    case Noise::Kind::kScales:
      return FillValues<uint16_t>(
          stream, offset, out, [&](uint64_t word) { return RoundToBF16(GroupScale(noise, word)); });
    case Noise::Kind::kBiases: {
      const auto middle = static_cast<float>((std::exp2(noise.bits) - 1) / 2);
      return FillValues<uint16_t>(stream, offset, out, [&](uint64_t word) {
        return RoundToBF16(-GroupScale(noise, word) * middle);
      });
    }
    case Noise::Kind::kDecay:
      return FillValues<float>(stream, offset, out, [](uint64_t word) {
        return static_cast<float>(std::log(1 + 15 * Unit(word)));
      });
    case Noise::Kind::kTimeStep:
      return FillValues<uint16_t>(stream, offset, out, [](uint64_t word) {
        const double step = 0.001 * std::pow(100.0, Unit(word));
        return RoundToBF16(static_cast<float>(std::log(std::expm1(step))));
      });
  }
}

}  // namespace mach::model
