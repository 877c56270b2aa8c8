#include "growth.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <limits>

#include <gtest/gtest.h>
#include <malloc.h>

namespace mach::growth {
namespace {

constexpr double kMostRatio = 2.6;
constexpr double kEnoughMs = 8;  // for 4n parts
constexpr int kLeastAttempts = 2;
constexpr int kMostAttempts = 6;
constexpr int kMostSizes = 3;

double ThreadMs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// The heap keeps what it has: pages that come and go with the size of the input would be counted.
void KeepHeap() {
  mallopt(M_MMAP_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

double Measure(const Work& work, bool& went_well) {
  const double begin = ThreadMs();
  went_well = work() && went_well;
  return ThreadMs() - begin;
}

// Processor time for n, 2n and 4n parts.
struct Growth {
  size_t n = 0;
  std::array<double, 3> ms;

  bool IsLinear() const { return ms[1] <= kMostRatio * ms[0] && ms[2] <= kMostRatio * ms[1]; }
  std::string Text() const {
    char text[160];
    std::snprintf(text, sizeof text, "n=%zu: %.3f, %.3f, %.3f ms: ratios %.2f and %.2f", n, ms[0],
                  ms[1], ms[2], ms[1] / ms[0], ms[2] / ms[1]);
    return text;
  }
};

Growth MeasureGrowth(size_t n, const MakeWork& make, bool& went_well) {
  const std::array<Work, 3> works = {make(n), make(2 * n), make(4 * n)};
  Growth growth{.n = n, .ms = {}};
  growth.ms.fill(std::numeric_limits<double>::infinity());
  for (int attempt = 1; attempt <= kMostAttempts; ++attempt) {
    for (size_t i = 0; i < works.size(); ++i) {
      growth.ms[i] = std::min(growth.ms[i], Measure(works[i], went_well));
    }
    if (attempt >= kLeastAttempts && growth.IsLinear()) break;
  }
  return growth;
}

}  // namespace

void ExpectLinear(std::string_view name, size_t most, const MakeWork& make) {
  KeepHeap();
  bool went_well = true;
  // From below, so that work that does grow with the square ends.
  size_t parts = std::max<size_t>(4, std::min<size_t>(64, most));
  while (parts * 2 <= most) {
    const double ms = Measure(make(parts), went_well);
    if (ms >= kEnoughMs) break;
    parts = ms < kEnoughMs / 32 && parts * 8 <= most ? parts * 8 : parts * 2;
  }
  ASSERT_TRUE(went_well) << name << " with up to " << parts << " parts";

  Growth growth;
  for (int size = 0; size < kMostSizes; ++size) {
    growth = MeasureGrowth(parts / 4, make, went_well);
    if (growth.IsLinear()) break;
    if (parts * 2 <= most) parts *= 2;
  }
  EXPECT_TRUE(went_well) << name;
  EXPECT_TRUE(growth.IsLinear()) << name << ": " << growth.Text();
  std::printf("%.*s: %s\n", static_cast<int>(name.size()), name.data(), growth.Text().c_str());
}

std::string Times(size_t n, std::string_view part) {
  std::string out;
  out.reserve(n * part.size());
  for (size_t i = 0; i < n; ++i) out += part;
  return out;
}

std::string Numbered(size_t n, std::string_view part, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < n; ++i) {
    if (i != 0) out += separator;
    for (const char c : part) {
      if (c == '@') {
        out += std::to_string(i);
      } else {
        out += c;
      }
    }
  }
  return out;
}

}  // namespace mach::growth
