#include "engine/anchors.h"

#include <algorithm>

#include "cache/state_shape.h"

namespace mach::engine {
namespace {

constexpr size_t kAlways = 2;      // of the last messages
constexpr size_t kCacheShare = 8;  // one prompt's further states take at most one part of so many

}  // namespace

std::vector<Anchor> ChooseAnchors(std::vector<Anchor> anchors, const AnchorChoice& choice) {
  const size_t n = choice.prompt_tokens;
  if (anchors.empty() && n > 1) {
    const size_t before = (n - 1) / cache::kBlockTokens * cache::kBlockTokens;
    anchors = {{before, PrefixKind::kText}, {n, PrefixKind::kText}};
  }
  std::ranges::sort(anchors, {}, &Anchor::tokens);
  std::erase_if(anchors, [&](const Anchor& a) {
    return a.tokens <= choice.cached_tokens || a.tokens > n || a.tokens == 0;
  });
  const auto same = [](const Anchor& a, const Anchor& b) { return a.tokens == b.tokens; };
  anchors.erase(std::unique(anchors.begin(), anchors.end(), same), anchors.end());

  const size_t affordable = choice.max_bytes / kCacheShare / std::max<size_t>(choice.copy_bytes, 1);
  size_t left = kAlways;
  if (choice.anywhere) {
    left = 1;
  } else if (!choice.parts_cost_reads) {
    left = std::max(left, affordable);
  }
  std::vector<Anchor> chosen;
  for (size_t i = anchors.size(); i > 0; --i) {
    const Anchor& anchor = anchors[i - 1];
    if (anchor.kind != PrefixKind::kSystem) {
      if (left == 0) continue;
      --left;
    }
    chosen.push_back(anchor);
  }
  std::ranges::reverse(chosen);
  return chosen;
}

}  // namespace mach::engine
