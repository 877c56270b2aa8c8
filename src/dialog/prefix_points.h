// The ends of a prompt's messages, in tokens: where the next turn of a conversation resumes.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "base/prefix_point.h"
#include "dialog/chat_input.h"

namespace mach::dialog {

// Whether templates put a system part in front of the first message of the conversation.
bool BeginsWithSystem(const ChatInput& chat);

// Behind each end-of-turn token, which templates put after a message. begins_with_system: the first
// of them ends the system message and the tools. A prompt without such tokens has no points.
std::vector<PrefixPoint> PrefixPointsOf(std::span<const TokenId> prompt,
                                        std::span<const TokenId> ends_of_turn,
                                        bool begins_with_system);

}  // namespace mach::dialog
