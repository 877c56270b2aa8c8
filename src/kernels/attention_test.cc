#include <limits>

#include <gtest/gtest.h>

#include "kernels/testing/kernel_fixture.h"

namespace mach::kernels {
namespace {

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Keys and values of one KV head, written position by position into blocks that are full of NaN
// beforehand: what was not written must not count.
class Kv {
 public:
  Kv(const KernelTable& table, size_t positions, size_t head_dim, bool f16)
      : keys_(RandomFloats(positions * head_dim, 21)),
        values_(RandomFloats(positions * head_dim, 22)) {
    const size_t blocks = (positions + kKvBlock - 1) / kKvBlock;
    const size_t half = kKvBlock * head_dim * (f16 ? 2 : 4);
    memory_.assign(2 * blocks * half, std::byte{0xFF});
    for (size_t b = 0; b < blocks; ++b) {
      std::byte* k = memory_.data() + 2 * b * half;
      blocks_.push_back({k, k + half});
      for (size_t p = b * kKvBlock; p < std::min(positions, (b + 1) * kKvBlock); ++p) {
        table.store_kv(k, k + half, p % kKvBlock, keys_.data() + p * head_dim,
                       values_.data() + p * head_dim, head_dim, f16);
      }
    }
  }
  const KvBlock* blocks() const { return blocks_.data(); }
  const std::vector<std::byte>& memory() const { return memory_; }
  double Key(size_t i) const { return keys_[i]; }
  double Value(size_t i) const { return values_[i]; }

 private:
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<std::byte> memory_;
  std::vector<KvBlock> blocks_;
};

struct Case {
  size_t heads;
  size_t head_dim;
  size_t first;
  size_t positions;
};

const Case kCases[] = {{1, 16, 0, 1},     {1, 64, 0, 63},   {2, 64, 0, 64},      {3, 128, 0, 65},
                       {8, 256, 0, 130},  {7, 96, 70, 200}, {5, 20, 3, 17},      {4, 37, 127, 129},
                       {16, 64, 0, 1024}, {2, 8, 10, 10},   {2, 256, 1023, 1024}};

std::string Name(const Case& c) {
  return std::to_string(c.heads) + " heads of " + std::to_string(c.head_dim) + ", positions " +
         std::to_string(c.first) + " to " + std::to_string(c.positions);
}

std::vector<float> Query(const Case& c) {
  const float scale = 4 / std::sqrt(static_cast<float>(c.head_dim));
  return RandomFloats(c.heads * c.head_dim, 23, -scale, scale);
}

// Maxima, sums and outputs, one after the other.
std::vector<float> Attend(const KernelTable& table, const Case& c, const Kv& kv, bool f16) {
  const std::vector<float> q = Query(c);
  std::vector<float> scores(c.heads * RoundUp(c.positions, kKvBlock), 99.0f);
  std::vector<float> result(c.heads * (2 + c.head_dim), 99.0f);
  AttentionArgs args;
  args.q = q.data();
  args.heads = c.heads;
  args.head_dim = c.head_dim;
  args.blocks = kv.blocks();
  args.first = c.first;
  args.positions = c.positions;
  args.f16 = f16;
  args.scores = scores.data();
  args.maximum = result.data();
  args.sum = result.data() + c.heads;
  args.out = result.data() + 2 * c.heads;
  table.attention(args);
  return result;
}

TEST(Attention, EveryIsaEqualsTheScalarTable) {
  for (const Case& c : kCases) {
    for (const bool f16 : {false, true}) {
      const Kv kv(Scalar(), c.positions, c.head_dim, f16);
      const auto expected = Attend(Scalar(), c, kv, f16);
      ForVectorTables([&](const KernelTable& table, const std::string& isa) {
        EXPECT_EQ(Kv(table, c.positions, c.head_dim, f16).memory(), kv.memory()) << isa;
        ExpectSameBits(expected, Attend(table, c, kv, f16),
                       isa + " " + Name(c) + (f16 ? " f16" : " f32"));
      });
    }
  }
}

// A score of magnitude at most s has an error of head_dim * eps / 2 * s, which its exponential
// takes as a relative one; the sums add at most one eps / 2 a position.
TEST(Attention, ScalarAgreesWithAFloat64Oracle) {
  for (const Case& c : kCases) {
    if (c.first == c.positions) continue;
    const Kv kv(Scalar(), c.positions, c.head_dim, false);
    const auto got = Attend(Scalar(), c, kv, false);
    const std::vector<float> q = Query(c);
    for (size_t h = 0; h < c.heads; ++h) {
      std::vector<double> score(c.positions);
      double most = -kInf;
      double magnitude = 0;
      for (size_t p = c.first; p < c.positions; ++p) {
        double absolute = 0;
        for (size_t d = 0; d < c.head_dim; ++d) {
          const double product = q[h * c.head_dim + d] * kv.Key(p * c.head_dim + d);
          score[p] += product;
          absolute += std::abs(product);
        }
        most = std::max(most, score[p]);
        magnitude = std::max(magnitude, absolute);
      }
      const double score_error = static_cast<double>(c.head_dim) * kEps / 2 * magnitude;
      const double tolerance = 2 * score_error + (static_cast<double>(c.positions) + 8) * kEps;
      EXPECT_NEAR(got[h], most, score_error) << Name(c);
      double sum = 0;
      for (size_t p = c.first; p < c.positions; ++p) sum += std::exp(score[p] - most);
      EXPECT_NEAR(got[c.heads + h], sum, tolerance * sum) << Name(c);
      for (size_t d = 0; d < c.head_dim; ++d) {
        double out = 0;
        for (size_t p = c.first; p < c.positions; ++p) {
          out += std::exp(score[p] - most) * kv.Value(p * c.head_dim + d);
        }
        EXPECT_NEAR(got[2 * c.heads + h * c.head_dim + d], out, tolerance * sum) << Name(c);
      }
    }
  }
}

// Heads together are heads alone (DESIGN promise 1).
TEST(Attention, TheNumberOfHeadsChangesNoBit) {
  const Case all{7, 80, 5, 150};
  const Kv kv(Scalar(), all.positions, all.head_dim, true);
  for (const Isa isa : AvailableIsas()) {
    const KernelTable& table = **SelectKernels(isa);
    const auto together = Attend(table, all, kv, true);
    for (size_t heads = 1; heads < all.heads; ++heads) {
      const auto fewer = Attend(table, {heads, 80, 5, 150}, kv, true);
      // Query depends on head_dim alone, so these are the first heads.
      ExpectSameBits(std::span(together).subspan(2 * all.heads, heads * all.head_dim),
                     std::span(fewer).subspan(2 * heads), std::string(IsaName(isa)));
    }
  }
}

TEST(AttentionMerge, EveryIsaEqualsTheScalarTableAndEmptyResultsAreNeutral) {
  for (const size_t dim : {1, 16, 37, 256}) {
    for (const float other : {-kInf, -200.0f, 1.5f, 2.5f, 300.0f}) {
      const auto run = [&](const KernelTable& t) {
        std::vector<float> a = RandomFloats(dim, 31);
        const std::vector<float> b =
            other == -kInf ? std::vector<float>(dim) : RandomFloats(dim, 32);
        float maximum = 2.0f;
        float sum = 3.0f;
        const float sum2 = other == -kInf ? 0.0f : 5.0f;
        t.attention_merge(&maximum, &sum, a.data(), &other, &sum2, b.data(), dim);
        a.push_back(maximum);
        a.push_back(sum);
        return a;
      };
      const auto expected = run(Scalar());
      EXPECT_EQ(expected[dim], std::max(2.0f, other));
      if (other == -kInf) {
        EXPECT_EQ(expected[dim + 1], 3.0f);
        EXPECT_EQ(expected[0], RandomFloats(dim, 31)[0]);
      }
      ForVectorTables([&](const KernelTable& table, const std::string& isa) {
        ExpectSameBits(expected, run(table), isa);
      });
    }
  }
  float maximum = -kInf;
  float sum = 0;
  float out = 0;
  const float empty_maximum = -kInf;
  const float zero = 0;
  Scalar().attention_merge(&maximum, &sum, &out, &empty_maximum, &zero, &zero, 1);
  EXPECT_EQ(maximum, -kInf);
  EXPECT_EQ(sum, 0.0f);
  EXPECT_EQ(out, 0.0f);
}

TEST(AttentionMerge, TwoHalvesMakeTheWhole) {
  const Case whole{2, 64, 0, 128};
  const Kv kv(Scalar(), 128, 64, false);
  const auto all = Attend(Scalar(), whole, kv, false);
  auto first = Attend(Scalar(), {2, 64, 0, 50}, kv, false);
  const auto second = Attend(Scalar(), {2, 64, 50, 128}, kv, false);
  for (size_t h = 0; h < 2; ++h) {
    const size_t at = 4 + h * 64;
    Scalar().attention_merge(&first[h], &first[2 + h], &first[at], &second[h], &second[2 + h],
                             &second[at], 64);
    EXPECT_EQ(first[h], all[h]);
    for (size_t d = 0; d < 64; ++d) {
      EXPECT_NEAR(first[at + d] / first[2 + h], all[at + d] / all[2 + h], 128 * kEps);
    }
  }
}

}  // namespace
}  // namespace mach::kernels
