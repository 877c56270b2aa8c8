// Reference arithmetic for tests of ops: a float64 value, and a bound on the difference between it
// and the same formula computed in float32.
//
// The bound is computed by running error analysis (Higham, Accuracy and Stability of Numerical
// Algorithms, 3.3): the result of an operation has the error that its operands cause, plus its
// rounding, which is at most kUnit of its magnitude. A sum of n terms has a rounding error of at
// most n * kUnit * (sum of the magnitudes) in every order of summation (4.2 there), with fused
// multiply-adds or without. So a test states its formula, and the tolerance follows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace mach::ops {

inline constexpr double kUnit = 0x1p-24;  // unit roundoff of float32

struct Bounded {
  double value = 0;
  double error = 0;  // of the float32 result, absolute

  Bounded() = default;
  Bounded(double exact) : value(exact) {}  // NOLINT: implicit, so that formulas can have constants
  Bounded(double v, double e) : value(v), error(e) {}
  double most() const { return std::abs(value) + error; }
};

inline Bounded Rounded(double value, double error) {
  return {value, error + kUnit * (std::abs(value) + error)};
}
inline Bounded operator-(Bounded a) { return {-a.value, a.error}; }
inline Bounded operator+(Bounded a, Bounded b) {
  return Rounded(a.value + b.value, a.error + b.error);
}
inline Bounded operator-(Bounded a, Bounded b) { return a + -b; }
inline Bounded operator*(Bounded a, Bounded b) {
  return Rounded(a.value * b.value,
                 std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error);
}
inline Bounded operator/(Bounded a, Bounded b) {
  const double q = a.value / b.value;
  return Rounded(q, (a.error + std::abs(q) * b.error) / (std::abs(b.value) - b.error));
}

// f(x) for a monotone function that is computed with a relative error of `units` * kUnit.
template <class F>
Bounded Monotone(Bounded x, F f, double units = 1) {
  const double y = f(x.value);
  const double low = std::abs(f(x.value - x.error) - y);
  const double high = std::abs(f(x.value + x.error) - y);
  const double error = std::max(low, high);
  return {y, error + units * kUnit * (std::abs(y) + error)};
}
// kernels::Exp is within two units in the last place, each of which is at most 2 * kUnit.
inline Bounded Exp(Bounded x) {
  return Monotone(
      x, [](double v) { return std::exp(v); }, 4);
}
inline Bounded Sqrt(Bounded x) {
  return Monotone(x, [](double v) { return std::sqrt(v); });
}
inline Bounded Sigmoid(Bounded x) { return Bounded(1) / (Bounded(1) + Exp(-x)); }
inline Bounded Silu(Bounded x) { return x * Sigmoid(x); }

// A sum of products. The order of summation is not known.
class DotProduct {
 public:
  void Add(Bounded a, Bounded b) {
    value_ += a.value * b.value;
    error_ += std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error;
    magnitude_ += a.most() * b.most();
    ++terms_;
  }
  void Add(Bounded a) { Add(a, 1); }
  Bounded Sum() const { return {value_, error_ + (terms_ + 1) * kUnit * magnitude_}; }

 private:
  double value_ = 0;
  double error_ = 0;
  double magnitude_ = 0;
  double terms_ = 0;
};

using Row = std::vector<Bounded>;

// Expects each value within its bound. `most` limits the widest bound, as a fraction of the root
// mean square of the expected values: with bounds as wide as the values a test could not fail.
inline void ExpectWithinBounds(const Row& expected, const std::vector<float>& got,
                               const std::string& what, double most = 0.001) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  double squares = 0;
  double widest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::abs(double{got[i]} - expected[i].value), expected[i].error)
        << what << ", element " << i << ": " << got[i] << " is not " << expected[i].value;
    squares += expected[i].value * expected[i].value;
    widest = std::max(widest, expected[i].error);
  }
  EXPECT_LE(widest, most * std::sqrt(squares / static_cast<double>(got.size()))) << what;
}

}  // namespace mach::ops
