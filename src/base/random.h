// Counter-based random numbers: a draw is a pure function of (seed, position, index).
#pragma once

#include <array>
#include <cstdint>

namespace mach {

// Philox4x32-10 (Salmon et al., SC 2011): four words for a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), 53 bits, for the draw `index` at `position` under `seed`. Whoever asks, in any
// order and any number of times, gets the same number.
double UniformAt(uint64_t seed, uint64_t position, uint32_t index = 0);

// A seed nobody has given: from the system's entropy.
uint64_t RandomSeed();

}  // namespace mach
