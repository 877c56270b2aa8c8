#include "reference/random_matrix.h"

#include <cmath>

#include "base/check.h"
#include "base/random.h"

namespace mach::reference {
namespace {

// FNV-1a: a position for each name.
uint64_t Hash(std::string_view name) {
  uint64_t h = 14695981039346656037u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return h;
}

// The nearest number with 8 significant bits, which BF16 and F16 both hold (in F16's range).
float EightBits(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
}

template <class T>
void Extend(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

double DrawUniform(uint64_t seed, std::string_view name, size_t i, double low, double high) {
  return low + (high - low) * UniformAt(seed, Hash(name), static_cast<uint32_t>(i));
}

RandomMatrix DrawMatrix(uint64_t seed, std::string_view name, const MatrixDraw& draw) {
  RandomMatrix m{.rows = draw.rows, .cols = draw.cols, .grid = draw.grid};
  const size_t count = draw.rows * draw.cols;
  const double half_width = draw.deviation * std::sqrt(3.0);  // of a uniform distribution
  const uint64_t position = Hash(name);
  const auto uniform = [&](size_t i) {
    return UniformAt(seed, position, static_cast<uint32_t>(i));
  };
  m.values.resize(count);
  if (draw.grid.bits == 0) {
    for (size_t i = 0; i < count; ++i) {
      m.values[i] = static_cast<float>(half_width * (2 * uniform(i) - 1));
    }
    return m;
  }
  MACH_CHECK(draw.cols % draw.grid.group == 0);
  const uint32_t top = (1u << draw.grid.bits) - 1;
  m.q.resize(count);
  for (size_t i = 0; i < count; i += draw.grid.group) {
    // The bias is several times the scale, so a multiple of the scale's last place: with 8 bits of
    // scale, 8 of q and the bias, every value fits a float32 exactly.
    const size_t at = count + i / draw.grid.group * 3;
    const double size = half_width * 2 / top * (0.7 + 0.6 * uniform(at));
    const bool negative = draw.negative_scales && uniform(at + 1) < 0.5;
    const float scale = EightBits(negative ? -size : size);
    const float bias = EightBits(-scale * top * (0.4 + 0.2 * uniform(at + 2)));
    m.scales.push_back(scale);
    m.biases.push_back(bias);
    for (size_t j = i; j < i + draw.grid.group; ++j) {
      m.q[j] = static_cast<uint32_t>(uniform(j) * (top + 1.0));
      const double exact = double{scale} * m.q[j] + double{bias};
      m.values[j] = static_cast<float>(exact);
      MACH_CHECK(double{m.values[j]} == exact);
    }
  }
  return m;
}

std::vector<uint32_t> RandomMatrix::Packed() const {
  const unsigned per_word = 32 / grid.bits;
  std::vector<uint32_t> words(q.size() / per_word);
  for (size_t i = 0; i < q.size(); ++i) {
    words[i / per_word] |= q[i] << (i % per_word * grid.bits);
  }
  return words;
}

RandomMatrix Stack(const std::vector<RandomMatrix>& parts) {
  RandomMatrix m{.cols = parts.front().cols, .grid = parts.front().grid};
  for (const RandomMatrix& part : parts) {
    MACH_CHECK(part.cols == m.cols && part.grid.bits == m.grid.bits);
    m.rows += part.rows;
    Extend(m.values, part.values);
    Extend(m.q, part.q);
    Extend(m.scales, part.scales);
    Extend(m.biases, part.biases);
  }
  return m;
}

}  // namespace mach::reference
