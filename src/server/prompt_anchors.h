// The boundaries of a prompt's messages, in tokens.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "engine/engine.h"

namespace mach::server {

// Behind each end-of-turn token, which templates put after a message. begins_with_system: the first
// of them ends the system message and the tools. A prompt without such tokens has no anchors.
std::vector<engine::Anchor> PromptAnchors(std::span<const TokenId> prompt,
                                          std::span<const TokenId> ends_of_turn,
                                          bool begins_with_system);

}  // namespace mach::server
