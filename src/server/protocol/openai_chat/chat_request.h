// Bodies of POST /v1/chat/completions.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "server/protocol/fields.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

// Every parameter that is known by name.
std::span<const Field> ChatFields();

// Honours, or refuses by name, every parameter of the table; the others end up in `ignored`.
std::variant<GenerationRequest, ApiError> ParseChatRequest(std::string_view body,
                                                           const Limits& limits);

}  // namespace mach::server
