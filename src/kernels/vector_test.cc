#include <limits>

#include <gtest/gtest.h>

#include "kernels/math.h"
#include "kernels/testing/kernel_fixture.h"

namespace mach::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr double kEps = std::numeric_limits<float>::epsilon();

// Every size up to two vectors of 16, and some beyond.
std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t n = 1; n <= 33; ++n) sizes.push_back(n);
  for (const size_t n : {63, 64, 100, 128, 257, 2048}) sizes.push_back(n);
  return sizes;
}

double Ulp(double x) {
  const double least = std::numeric_limits<float>::denorm_min();
  int exponent = 0;
  std::frexp(x, &exponent);
  return std::max(least, std::ldexp(1.0, exponent - 24));
}

TEST(Exp, IsWithinTwoUlp) {
  double worst = 0;
  for (int i = -1040000; i <= 887200; i += 3) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double exact = std::exp(double{x});
    worst = std::max(worst, std::abs(double{Exp(x)} - exact) / Ulp(exact));
  }
  for (float x = 1e-30f; x < 1; x *= 1.7f) {
    for (const float y : {x, -x}) {
      const double exact = std::exp(double{y});
      worst = std::max(worst, std::abs(double{Exp(y)} - exact) / Ulp(exact));
    }
  }
  EXPECT_LE(worst, 2.0);
}

TEST(Exp, SaturatesAndKeepsNan) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(-kInf), 0.0f);
  EXPECT_EQ(Exp(-kMax), 0.0f);
  EXPECT_EQ(Exp(kInf), kInf);
  EXPECT_EQ(Exp(kMax), kInf);
  EXPECT_EQ(Exp(-103.0f), std::exp(-103.0f));  // subnormal
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
}

// Where exp(-x) overflows, silu(x) is subnormal, and becomes 0.
TEST(Silu, IsFiniteForFiniteInput) {
  for (const float x : {0.0f, 1.0f, -1.0f, 80.0f, -80.0f, 100.0f, -100.0f, kMax, -kMax}) {
    const double exact = x / (1.0 + std::exp(-double{x}));
    EXPECT_NEAR(Silu(x), exact, std::max(4 * Ulp(exact), 0x1p-126)) << x;
  }
}

// One call of a kernel on the inputs of `seed`, and everything it wrote.
struct Op {
  const char* name;
  std::vector<float> (*run)(const KernelTable&, size_t n, uint64_t seed);
};

std::vector<float> Input(size_t n, uint64_t seed) { return RandomFloats(n, seed, -9, 9); }

const Op kOps[] = {
    {"rms_norm",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.rms_norm(x.data(), Input(n, seed + 1).data(), 1e-6f, n, x.data());
       return x;
     }},
    {"rms_norm_gated",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> out(n);
       t.rms_norm_gated(Input(n, seed).data(), Input(n, seed + 1).data(), Input(n, seed + 2).data(),
                        1e-6f, n, out.data());
       return out;
     }},
    {"l2_norm",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.l2_norm(x.data(), 1e-6f, 0.125f, n, x.data());
       return x;
     }},
    {"silu_mul",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.silu_mul(x.data(), Input(n, seed + 1).data(), n, x.data());
       return x;
     }},
    {"sigmoid_mul",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.sigmoid_mul(x.data(), Input(n, seed + 1).data(), n);
       return x;
     }},
    {"add",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.add(x.data(), Input(n, seed + 1).data(), n);
       return x;
     }},
    {"axpy",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.axpy(x.data(), 0.37f, Input(n, seed + 1).data(), n);
       return x;
     }},
    {"rope",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(2 * n + 5, seed);  // five dimensions pass through
       t.rope(x.data(), Input(n, seed + 1).data(), Input(n, seed + 2).data(), 2 * n);
       return x;
     }},
    {"softmax",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       std::vector<float> x = Input(n, seed);
       t.softmax(x.data(), n);
       return x;
     }},
    {"conv_silu",
     [](const KernelTable& t, size_t n, uint64_t seed) {
       const std::vector<float> u = Input(4 * n, seed);
       const std::vector<float> w = Input(4 * n, seed + 1);
       const float* rows[] = {u.data(), u.data() + n, u.data() + 2 * n, u.data() + 3 * n};
       std::vector<float> out(n);
       t.conv_silu(rows, w.data(), 4, n, out.data());
       return out;
     }},
};

TEST(VectorOps, EveryIsaEqualsTheScalarTable) {
  for (const Op& op : kOps) {
    for (const size_t n : Sizes()) {
      const auto expected = op.run(Scalar(), n, 5);
      ForVectorTables([&](const KernelTable& table, const std::string& isa) {
        ExpectSameBits(expected, op.run(table, n, 5),
                       isa + " " + op.name + " of " + std::to_string(n));
      });
    }
  }
}

// Extreme inputs take the same branches everywhere.
TEST(VectorOps, EveryIsaSaturatesAlike) {
  const std::vector<float> extremes = {0,      -0.0f,  1,     -1,   88.7f,  88.8f,  -87.4f,
                                       -95.0f, -103,   -104,  -105, 1e30f,  -1e30f, kMax,
                                       -kMax,  1e-40f, 1e-3f, 20,   -20.5f, 0.5f};
  const size_t n = extremes.size();
  const std::vector<float> ones(n, 1.0f);
  const auto run = [&](const KernelTable& t) {
    std::vector<float> out(3 * n);
    t.silu_mul(extremes.data(), ones.data(), n, out.data());
    std::copy(ones.begin(), ones.end(), out.begin() + static_cast<ptrdiff_t>(n));
    t.sigmoid_mul(out.data() + n, extremes.data(), n);
    std::copy(extremes.begin(), extremes.end(), out.end() - static_cast<ptrdiff_t>(n));
    t.softmax(out.data() + 2 * n, n);
    return out;
  };
  const auto expected = run(Scalar());
  for (const float value : expected) EXPECT_FALSE(std::isnan(value));
  ForVectorTables([&](const KernelTable& table, const std::string& isa) {
    ExpectSameBits(expected, run(table), isa);
  });
}

TEST(QuantizeRow, EveryIsaEqualsTheScalarTable) {
  for (const size_t group : {32, 64, 128}) {
    const size_t cols = 6 * group;
    std::vector<float> x = RandomFloats(cols, 11, -3, 3);
    std::fill_n(x.begin() + static_cast<ptrdiff_t>(group), group, 0.0f);
    std::fill_n(x.begin() + static_cast<ptrdiff_t>(2 * group), group, 1e-39f);
    for (size_t i = 0; i < group; ++i) x[3 * group + i] = static_cast<float>(i) - 13.5f;  // ties
    x[4 * group] = kMax;
    const auto run = [&](const KernelTable& t) {
      std::vector<int8_t> q(cols, 99);
      std::vector<float> out(2 * cols / group);
      t.quantize_row(x.data(), cols, group, q.data(), out.data(), out.data() + cols / group);
      out.insert(out.end(), q.begin(), q.end());
      return out;
    };
    const auto expected = run(Scalar());
    ForVectorTables([&](const KernelTable& table, const std::string& isa) {
      ExpectSameBits(expected, run(table), isa + " group " + std::to_string(group));
    });
  }
}

TEST(QuantizeRow, RoundsToTheNearestAndSumsTheCodes) {
  constexpr size_t kGroup = 64;
  std::vector<float> x = RandomFloats(2 * kGroup, 12, -5, 5);
  x[7] = 6.0f;  // the largest of its group
  std::fill(x.begin() + kGroup, x.end(), 0.0f);
  std::vector<int8_t> q(x.size());
  float scale[2];
  float sum[2];
  Scalar().quantize_row(x.data(), x.size(), kGroup, q.data(), scale, sum);
  EXPECT_EQ(scale[0], 6.0f / 127.0f);
  EXPECT_EQ(q[7], 127);
  int total = 0;
  for (size_t i = 0; i < kGroup; ++i) {
    EXPECT_NEAR(x[i], scale[0] * static_cast<float>(q[i]), scale[0] * 0.5001f);
    total += q[i];
  }
  EXPECT_EQ(sum[0], scale[0] * static_cast<float>(total));
  EXPECT_EQ(scale[1], 0.0f);
  EXPECT_EQ(sum[1], 0.0f);
  EXPECT_EQ(q[kGroup], 0);
}

// Wherever it stands in its group, and whatever stands beside it; other groups are as they were.
TEST(QuantizeRow, WhatIsNotFiniteIsNeverLost) {
  constexpr size_t kGroup = 32;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> finite = RandomFloats(3 * kGroup, 13, -3, 3);
  const auto check = [&](const KernelTable& table, const std::string& isa) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
      for (size_t at = kGroup; at < 2 * kGroup; ++at) {
        std::vector<float> x = finite;
        x[at] = bad;
        std::vector<int8_t> q(x.size(), 99);
        float scale[3];
        float sum[3];
        table.quantize_row(x.data(), x.size(), kGroup, q.data(), scale, sum);
        EXPECT_TRUE(std::isnan(scale[1]) && std::isnan(sum[1])) << isa << " " << bad << " " << at;
        EXPECT_EQ(std::count(q.begin() + kGroup, q.begin() + 2 * kGroup, 0), kGroup) << isa;
        EXPECT_FALSE(std::isnan(scale[0] + sum[0] + scale[2] + sum[2])) << isa;
      }
    }
  };
  check(Scalar(), "scalar");
  ForVectorTables(check);
}

// The square sum has at most n / 16 + 5 roundings of positive terms, halved by the root; the rest
// is a handful more.
TEST(Norms, ScalarAgreesWithAFloat64Oracle) {
  for (const size_t n : Sizes()) {
    const auto x = Input(n, 5);
    const auto w = Input(n, 6);
    const auto z = Input(n, 7);
    double squares = 0;
    for (const float v : x) squares += double{v} * v;
    const double rms = std::sqrt(squares / static_cast<double>(n) + 1e-6);
    const double l2 = std::sqrt(squares + 1e-6);
    const double tolerance = (static_cast<double>(n) / 32 + 8) * kEps;
    std::vector<float> a(n);
    std::vector<float> b(n);
    std::vector<float> c(n);
    Scalar().rms_norm(x.data(), w.data(), 1e-6f, n, a.data());
    Scalar().rms_norm_gated(x.data(), w.data(), z.data(), 1e-6f, n, b.data());
    Scalar().l2_norm(x.data(), 1e-6f, 0.125f, n, c.data());
    for (size_t i = 0; i < n; ++i) {
      const double normed = x[i] / rms * w[i];
      const double gated = normed * z[i] / (1 + std::exp(-double{z[i]}));
      EXPECT_NEAR(a[i], normed, tolerance * std::abs(normed));
      EXPECT_NEAR(b[i], gated, tolerance * std::abs(gated));
      EXPECT_NEAR(c[i], x[i] / l2 * 0.125, tolerance * std::abs(x[i] / l2));
    }
  }
}

TEST(Softmax, ScalarAgreesWithAFloat64Oracle) {
  for (const size_t n : Sizes()) {
    const auto x = Input(n, 5);
    std::vector<float> got = x;
    Scalar().softmax(got.data(), n);
    const double most = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (const float v : x) sum += std::exp(v - most);
    for (size_t i = 0; i < n; ++i) {
      // The argument, up to 18 in magnitude, is rounded once, to eps / 2 of itself.
      const double exact = std::exp(x[i] - most) / sum;
      EXPECT_NEAR(got[i], exact, (static_cast<double>(n) / 32 + 24) * kEps * exact);
    }
  }
}

TEST(Rope, RotatesPairs) {
  const float c = std::cos(0.5f);
  const float s = std::sin(0.5f);
  std::vector<float> head = {1, 2, 3, 4, 5};
  const float cos[] = {c, 1};
  const float sin[] = {s, 0};
  Scalar().rope(head.data(), cos, sin, 4);
  EXPECT_NEAR(head[0], 1 * c - 3 * s, 4e-7);
  EXPECT_EQ(head[1], 2.0f);
  EXPECT_NEAR(head[2], 3 * c + 1 * s, 4e-7);
  EXPECT_EQ(head[3], 4.0f);
  EXPECT_EQ(head[4], 5.0f);
}

TEST(ConvSilu, SumsTapsOfEachChannel) {
  const std::vector<float> old = {1, 2, 3};
  const std::vector<float> now = {4, 5, 6};
  const std::vector<float> weight = {1, 0, -1, 0.5f, 2, 0};  // [2, 3]
  const float* rows[] = {old.data(), now.data()};
  std::vector<float> out(3);
  Scalar().conv_silu(rows, weight.data(), 2, 3, out.data());
  EXPECT_EQ(out[0], Silu(3));
  EXPECT_EQ(out[1], Silu(10));
  EXPECT_EQ(out[2], Silu(-3));
}

}  // namespace
}  // namespace mach::kernels
