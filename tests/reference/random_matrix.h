// Random matrices on the grids that affine quantization can hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reference/random_checkpoint.h"

namespace mach::reference {

struct RandomMatrix {
  size_t rows = 0;
  size_t cols = 0;
  Grid grid;
  std::vector<float> values;  // [rows, cols]
  std::vector<uint32_t> q;    // [rows, cols]; this and the two below are empty without a grid
  std::vector<float> scales;  // [rows, cols / group]
  std::vector<float> biases;

  // [rows, cols * bits / 32], element k * (32 / bits) + j of a row in bits [j * bits, ...) of word
  // k
  std::vector<uint32_t> Packed() const;
};

struct MatrixDraw {
  size_t rows = 0;
  size_t cols = 0;
  Grid grid;
  double deviation = 1;  // standard deviation of the values
  bool negative_scales = false;
};

// A pure function of its arguments. REQUIRES cols to be a multiple of the grid's group.
RandomMatrix DrawMatrix(uint64_t seed, std::string_view name, const MatrixDraw& draw);

// Uniform in [low, high), for element i of what `name` stands for.
double DrawUniform(uint64_t seed, std::string_view name, size_t i, double low, double high);

// One below the other. REQUIRES equal columns and grids.
RandomMatrix Stack(const std::vector<RandomMatrix>& parts);

}  // namespace mach::reference
