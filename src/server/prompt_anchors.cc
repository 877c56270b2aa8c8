#include "server/prompt_anchors.h"

#include <algorithm>

namespace mach::server {

std::vector<engine::Anchor> PromptAnchors(std::span<const TokenId> prompt,
                                          std::span<const TokenId> ends_of_turn,
                                          bool begins_with_system) {
  std::vector<engine::Anchor> anchors;
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (std::ranges::find(ends_of_turn, prompt[i]) == ends_of_turn.end()) continue;
    const bool system = anchors.empty() && begins_with_system;
    anchors.push_back({i + 1, system ? engine::PrefixKind::kSystem : engine::PrefixKind::kMessage});
  }
  return anchors;
}

}  // namespace mach::server
