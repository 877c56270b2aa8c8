// Bodies of POST /v1/completions.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "json/value.h"
#include "server/protocol/fields.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

// Every parameter that is known by name.
std::span<const Field> CompletionFields();

// As ParseChatRequest. The prompts are texts or token ids; there is at least one.
std::variant<GenerationRequest, ApiError> ParseCompletionRequest(std::string_view body,
                                                                 const Limits& limits);

// [1, 2, 3]
std::variant<std::vector<TokenId>, ApiError> ReadTokenIds(const json::Value& value,
                                                          const std::string& param);

}  // namespace mach::server
