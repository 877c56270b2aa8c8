#include "engine/prefix_points.h"

#include <algorithm>

#include "base/prefix_point.h"
#include "cache/state_shape.h"

namespace mach::engine {
namespace {

constexpr size_t kAlways = 2;      // of the last messages
constexpr size_t kCacheShare = 8;  // one prompt's further states take at most one part of so many

}  // namespace

std::vector<PrefixPoint> ChoosePrefixPoints(std::vector<PrefixPoint> points,
                                            const PrefixPointChoice& choice) {
  const size_t n = choice.prompt_tokens;
  if (points.empty() && n > 1) {
    const size_t before = (n - 1) / cache::kBlockTokens * cache::kBlockTokens;
    points = {{before, PrefixKind::kText}, {n, PrefixKind::kText}};
  }
  std::ranges::sort(points, {}, &PrefixPoint::tokens);
  std::erase_if(points, [&](const PrefixPoint& a) {
    return a.tokens <= choice.cached_tokens || a.tokens > n || a.tokens == 0;
  });
  const auto same = [](const PrefixPoint& a, const PrefixPoint& b) { return a.tokens == b.tokens; };
  points.erase(std::unique(points.begin(), points.end(), same), points.end());

  const size_t affordable = choice.max_bytes / kCacheShare / std::max<size_t>(choice.copy_bytes, 1);
  size_t left = kAlways;
  if (choice.anywhere) {
    left = 1;
  } else if (!choice.parts_cost_reads) {
    left = std::max(left, affordable);
  }
  std::vector<PrefixPoint> chosen;
  for (size_t i = points.size(); i > 0; --i) {
    const PrefixPoint& point = points[i - 1];
    if (point.kind != PrefixKind::kSystem) {
      if (left == 0) continue;
      --left;
    }
    chosen.push_back(point);
  }
  std::ranges::reverse(chosen);
  return chosen;
}

}  // namespace mach::engine
