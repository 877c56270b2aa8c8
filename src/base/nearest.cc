#include "base/nearest.h"

#include <algorithm>
#include <vector>

namespace mach {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view Nearest(std::string_view typed, std::span<const std::string_view> names) {
  constexpr size_t kMaxTyped = 64;
  if (typed.size() > kMaxTyped) return {};
  std::string_view best;
  size_t least = std::max<size_t>(2, typed.size() / 3) + 1;
  for (const std::string_view name : names) {
    const size_t distance = EditDistance(typed, name);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace mach
