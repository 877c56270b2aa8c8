// Seeded noise in the shape of weights: every element is a pure function of the seed, a name and
// its place, so that it does not matter in what pieces and in which file a tensor is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mach::model {

struct Noise {
  enum class Kind : unsigned char {
    kUniformBF16,  // uniform around `mean` with `deviation`
    // Affine weights of `bits`, uniform around 0 with `deviation` over a whole matrix; about half
    // of the groups have negative scales, as mlx-lm's have.
    kCodes,     // packed, any bits
    kScales,    // BF16, one a group
    kBiases,    // BF16, -scale * (2^bits - 1) / 2 of the same group
    kDecay,     // A_log of a gated delta net, F32: log of 1 to 16
    kTimeStep,  // dt_bias of one, BF16: inverse softplus of 0.001 to 0.1
  };
  Kind kind = Kind::kUniformBF16;
  double mean = 0;
  double deviation = 0;
  int bits = 0;
};

// Words of the stream that a seed and a name choose (SplitMix64, Steele et al., OOPSLA 2014).
class NoiseStream {
 public:
  NoiseStream(uint64_t seed, std::string_view name);
  uint64_t At(uint64_t index) const;

 private:
  uint64_t key_;
};

// Writes the bytes of a tensor from byte `offset` on. The scales and biases of a module take the
// same stream. REQUIRES: offset and, but for the tensor's end, out.size() are multiples of 8.
void FillNoise(const Noise& noise, const NoiseStream& stream, uint64_t offset,
               std::span<std::byte> out);

}  // namespace mach::model
