#include "dialog/prefix_points.h"

#include <algorithm>

#include "base/prefix_point.h"
#include "json/value.h"

namespace mach::dialog {

bool BeginsWithSystem(const ChatInput& chat) {
  if (!chat.tools.empty()) return true;
  if (chat.messages.empty()) return false;
  const json::Value* role = chat.messages[0].Find("role");
  return role != nullptr && role->is_string() && role->AsString() == "system";
}

std::vector<PrefixPoint> PrefixPointsOf(std::span<const TokenId> prompt,
                                        std::span<const TokenId> ends_of_turn,
                                        bool begins_with_system) {
  std::vector<PrefixPoint> points;
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (std::ranges::find(ends_of_turn, prompt[i]) == ends_of_turn.end()) continue;
    const bool system = points.empty() && begins_with_system;
    points.push_back({i + 1, system ? PrefixKind::kSystem : PrefixKind::kMessage});
  }
  return points;
}

}  // namespace mach::dialog
