// Bodies of POST /tokenize and POST /detokenize, in llama-server's and vLLM's spellings.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dialog/chat_input.h"
#include "server/protocol/fields.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

struct TextRequest {
  std::optional<std::string> text;
  bool is_chat = false;  // `chat` instead of a text
  dialog::ChatInput chat;
  std::optional<bool> add_special;  // unset: as the spelling's server does
  bool text_is_prompt = false;      // vLLM's spelling
  bool parse_special = true;
  bool with_pieces = false;
  bool token_strings = false;
  std::vector<TokenId> tokens;
  std::string session;  // of a prefix to warm
  std::vector<std::string> ignored;
};

std::span<const FieldOf<TextRequest>> TokenizeFields();
std::span<const FieldOf<TextRequest>> DetokenizeFields();
// Of POST /v1/cache/warm_prefix.
std::span<const FieldOf<TextRequest>> WarmFields();

// Exactly one of a text and a conversation.
std::variant<TextRequest, ApiError> ParseTokenizeRequest(std::string_view body,
                                                         const Limits& limits);
std::variant<TextRequest, ApiError> ParseWarmRequest(std::string_view body, const Limits& limits);
std::variant<TextRequest, ApiError> ParseDetokenizeRequest(std::string_view body,
                                                           const Limits& limits);

}  // namespace mach::server
