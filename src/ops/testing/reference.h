// Formulas that the reference computations of several ops share. They are written from the
// architectures' descriptions and share no code with the ops.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.h"
#include "ops/testing/bounded.h"
#include "ops/testing/test_matrix.h"

namespace mach::ops {

// n values from x[begin] on.
inline Row Exact(const std::vector<float>& x, size_t begin, size_t n) {
  Row row;
  for (size_t i = 0; i < n; ++i) row.push_back(double{x[begin + i]});
  return row;
}

// Part `index` of the parts of n values that a row is made of.
inline Row Part(const Row& x, size_t index, size_t n) {
  const auto at = x.begin() + static_cast<std::ptrdiff_t>(index * n);
  return {at, at + static_cast<std::ptrdiff_t>(n)};
}

// y[r] = sum over c of w[r, c] * x[c].
inline Row MatVec(const TestMatrix& w, const Row& x) {
  Row y;
  for (size_t r = 0; r < w.layout().rows; ++r) {
    DotProduct dot;
    for (size_t c = 0; c < x.size(); ++c) dot.Add(w.at(r, c), x[c]);
    y.push_back(dot.Sum());
  }
  return y;
}

// The same for an affine matrix, with x quantized to 8 bits per group: scale = max|x| / 127, and q
// is x * (127 / max|x|) rounded to the nearest integer, ties to even. Both are computed in float32
// here, so that they equal the op's.
inline Row MatVecInt8(const TestMatrix& w, const float* x) {
  const size_t group = w.group_size();
  std::vector<Bounded> scales;
  std::vector<double> q;
  for (size_t g = 0; g < w.layout().groups(); ++g) {
    float most = 0;
    for (size_t i = 0; i < group; ++i) most = std::max(most, std::abs(x[g * group + i]));
    const float inverse = 127.0f / most;
    for (size_t i = 0; i < group; ++i) q.push_back(std::nearbyint(x[g * group + i] * inverse));
    scales.push_back(double{most / 127.0f});
  }
  Row y;
  for (size_t r = 0; r < w.layout().rows; ++r) {
    DotProduct sum;
    for (size_t g = 0; g < scales.size(); ++g) {
      double total = 0;
      double dot = 0;
      for (size_t i = g * group; i < (g + 1) * group; ++i) {
        total += q[i];
        dot += q[i] * w.code(r, i);
      }
      sum.Add(Bounded(w.scale(r, g)) * scales[g], dot);
      sum.Add(scales[g] * Bounded(total), w.bias(r, g));
    }
    y.push_back(sum.Sum());
  }
  return y;
}

// x / sqrt(mean(x^2) + eps) * weight.
inline Row RmsNormed(const Row& x, const std::vector<float>& weight, float eps) {
  DotProduct squares;
  for (const Bounded& value : x) squares.Add(value, value);
  const Bounded mean = squares.Sum() / Bounded(static_cast<double>(x.size()));
  const Bounded inverse = Bounded(1) / Sqrt(mean + Bounded(double{eps}));
  Row y;
  for (size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * inverse * Bounded(double{weight[i]}));
  return y;
}

// Rounded to half precision: 11 significant bits; below the normal numbers, multiples of 2^-24.
inline Row Halves(Row x) {
  for (Bounded& value : x) value.error += value.most() * 0x1p-11 + 0x1p-25;
  return x;
}

// y = sum over j of p[j] * values[j], p = softmax(q . keys). The query is scaled.
//
// A relative error r[j] of exp(score[j]) changes y by p[j] * r[j] * (values[j] - y), since an error
// that all exponentials share cancels. r is the sum of the errors of the score, of the exponential,
// and of the factors by which the partial results of spans are merged. The rounding errors of
// numerator and denominator, which are sums of n terms, come on top.
inline Row SoftmaxAttention(const Row& q, const std::vector<Row>& keys,
                            const std::vector<Row>& values) {
  const size_t n = keys.size();
  const size_t merges = n / kernels::kAttentionSpan + 1;
  Row scores;
  double most = -1e30;
  for (const Row& key : keys) {
    DotProduct score;
    for (size_t i = 0; i < q.size(); ++i) score.Add(q[i], key[i]);
    scores.push_back(score.Sum());
    most = std::max(most, scores.back().value);
  }
  std::vector<double> p;
  double sum = 0;
  for (const Bounded& score : scores) {
    p.push_back(std::exp(score.value - most));
    sum += p.back();
  }
  for (double& share : p) share /= sum;
  Row y;
  for (size_t i = 0; i < q.size(); ++i) {
    double mean = 0;
    double magnitude = 0;
    for (size_t j = 0; j < n; ++j) {
      mean += p[j] * values[j][i].value;
      magnitude += p[j] * values[j][i].most();
    }
    double error = (static_cast<double>(n) + 4) * kUnit * (magnitude + std::abs(mean));
    for (size_t j = 0; j < n; ++j) {
      const double difference = std::abs(scores[j].value - most);
      const double r = std::expm1(scores[j].error + kUnit * difference) +
                       (4 + 8 * static_cast<double>(merges)) * kUnit;
      error += p[j] * (1.01 * r * std::abs(values[j][i].value - mean) + values[j][i].error);
    }
    y.push_back({mean, error});
  }
  return y;
}

}  // namespace mach::ops
