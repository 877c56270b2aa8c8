#include "experts/hit_rate.h"

#include <cmath>
#include <vector>

namespace mach::experts {
namespace {

constexpr double kZipfExponent = 1.2;
constexpr int kBisections = 200;

}  // namespace

double EstimateHitRate(size_t experts, double slots) {
  if (experts == 0 || slots <= 0) return 0;
  if (slots >= static_cast<double>(experts)) return 1;
  std::vector<double> p(experts);
  double total = 0;
  for (size_t i = 0; i < experts; ++i) {
    p[i] = std::pow(static_cast<double>(i + 1), -kZipfExponent);
    total += p[i];
  }
  for (double& x : p) x /= total;

  double low = 0;
  double high = 1;
  const auto resident = [&](double time) {
    double sum = 0;
    for (const double x : p) sum += 1 - std::exp(-x * time);
    return sum;
  };
  while (resident(high) < slots && high < 1e12) high *= 2;
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    (resident(middle) < slots ? low : high) = middle;
  }
  double hits = 0;
  for (const double x : p) hits += x * (1 - std::exp(-x * low));
  return hits;
}

}  // namespace mach::experts
