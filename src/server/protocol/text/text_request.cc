#include "server/protocol/text/text_request.h"

#include "dialog/last_turn.h"
#include "dialog/messages.h"
#include "json/value.h"
#include "server/protocol/generation_fields.h"
#include "server/protocol/openai_completions/completion_request.h"

namespace mach::server {
namespace {

using json::Value;
using Row = FieldOf<TextRequest>;

template <auto member>
FieldError ReadTextFlag(const Value& value, const Limits&, TextRequest& request) {
  request.*member = value.AsBool();
  return std::nullopt;
}

FieldError ReadContent(const Value& value, const Limits&, TextRequest& request) {
  request.text = value.AsString();
  return std::nullopt;
}

FieldError ReadPrompt(const Value& value, const Limits&, TextRequest& request) {
  if (request.text) return WrongValue("prompt", "comes beside 'content'; give one of them");
  request.text = value.AsString();
  request.text_is_prompt = true;
  return std::nullopt;
}

FieldError ReadMessages(const Value& value, const Limits& limits, TextRequest& request) {
  if (request.text) return WrongValue("messages", "come beside a text; give one of them");
  auto messages = dialog::NormalizeMessages(value, limits.messages, &request.chat.nonce_stripped);
  if (!messages) return FromFieldError(std::move(messages).error());
  request.chat.messages = *std::move(messages);
  request.is_chat = true;
  return std::nullopt;
}

FieldError ReadTools(const Value& value, const Limits& limits, TextRequest& request) {
  auto tools = dialog::NormalizeTools(value, limits.messages);
  if (!tools) return FromFieldError(std::move(tools).error());
  request.chat.tools = *std::move(tools);
  return std::nullopt;
}

FieldError ReadKwargs(const Value& value, const Limits&, TextRequest& request) {
  request.chat.kwargs = value.AsObject();
  for (const char* ours :
       {"messages", "tools", "add_generation_prompt", "continue_final_message"}) {
    request.chat.kwargs.Erase(ours);
  }
  return std::nullopt;
}

FieldError ReadGenerationPrompt(const Value& value, const Limits&, TextRequest& request) {
  request.chat.asked_generation_prompt = value.AsBool();
  return std::nullopt;
}

FieldError ReadContinuation(const Value& value, const Limits&, TextRequest& request) {
  request.chat.asked_continuation = value.AsBool();
  return std::nullopt;
}

FieldError ReadSession(const Value& value, const Limits&, TextRequest& request) {
  if (request.session.empty()) request.session = SessionName(value.AsString());
  return std::nullopt;
}

FieldError ReadTokens(const Value& value, const Limits&, TextRequest& request) {
  auto ids = ReadTokenIds(value, "tokens");
  if (auto* error = std::get_if<ApiError>(&ids)) return std::move(*error);
  request.tokens = std::get<std::vector<TokenId>>(std::move(ids));
  return std::nullopt;
}

using enum Handling;
using T = TextRequest;

constexpr Row kTokenize[] = {
    {"content", FieldType::kString, kHonoured, "the text", ReadContent},
    {"prompt", FieldType::kString, kHonoured, "the text, in vLLM's spelling", ReadPrompt},
    {"messages", FieldType::kArray, kHonoured, "a conversation instead", ReadMessages},
    {"tools", FieldType::kArray, kHonoured, "of the conversation", ReadTools},
    {"chat_template_kwargs", FieldType::kObject, kHonoured, "variables of the chat template",
     ReadKwargs},
    {"add_generation_prompt", FieldType::kBoolean, kHonoured, "open the assistant's turn",
     ReadGenerationPrompt},
    {"continue_final_message", FieldType::kBoolean, kHonoured,
     "go on with the last message, the assistant's", ReadContinuation},
    {"add_special", FieldType::kBoolean, kHonoured,
     "what the tokenizer puts around a text; default: false with 'content', true with 'prompt'",
     ReadTextFlag<&T::add_special>},
    {"add_special_tokens", FieldType::kBoolean, kHonoured, "as add_special",
     ReadTextFlag<&T::add_special>},
    {"parse_special", FieldType::kBoolean, kHonoured,
     "text that spells a special token is that token", ReadTextFlag<&T::parse_special>},
    {"with_pieces", FieldType::kBoolean, kHonoured, "each token's text",
     ReadTextFlag<&T::with_pieces>},
    {"return_token_strs", FieldType::kBoolean, kHonoured, "the tokens' texts as a list",
     ReadTextFlag<&T::token_strings>},
    {"model", FieldType::kAny, kAccepted, "there is one"},
};
constexpr Row kWarm[] = {
    {"text", FieldType::kString, kHonoured, "the beginning of a prompt", ReadContent},
    {"prompt", FieldType::kString, kHonoured, "as text", ReadPrompt},
    {"messages", FieldType::kArray, kHonoured, "a conversation instead", ReadMessages},
    {"tools", FieldType::kArray, kHonoured, "of the conversation", ReadTools},
    {"chat_template_kwargs", FieldType::kObject, kHonoured, "variables of the chat template",
     ReadKwargs},
    {"add_generation_prompt", FieldType::kBoolean, kHonoured,
     "open the assistant's turn; default: false", ReadGenerationPrompt},
    {"session_id", FieldType::kString, kHonoured, "whose prefix it is", ReadSession},
    {"prompt_cache_key", FieldType::kString, kHonoured, "likewise", ReadSession},
    {"model", FieldType::kAny, kAccepted, "there is one"},
};
constexpr Row kDetokenize[] = {
    {.name = "tokens",
     .type = FieldType::kArray,
     .help = "token ids",
     .read = ReadTokens,
     .required = true},
    {"model", FieldType::kAny, kAccepted, "there is one"},
};

std::variant<TextRequest, ApiError> ParseText(std::string_view body, const Limits& limits,
                                              std::span<const Row> fields,
                                              TextRequest request = {}) {
  auto object = ParseBody(body, limits, fields);
  if (auto* error = std::get_if<ApiError>(&object)) return std::move(*error);
  if (auto error =
          ReadFields(std::get<json::Object>(object), fields, limits, request, request.ignored)) {
    return *std::move(error);
  }
  if (auto settled = dialog::SettleLastTurn(request.chat); !settled) {
    return FromFieldError(std::move(settled).error());
  }
  return request;
}

}  // namespace

std::span<const Row> TokenizeFields() { return kTokenize; }
std::span<const Row> DetokenizeFields() { return kDetokenize; }
std::span<const Row> WarmFields() { return kWarm; }

std::variant<TextRequest, ApiError> ParseTokenizeRequest(std::string_view body,
                                                         const Limits& limits) {
  auto request = ParseText(body, limits, kTokenize);
  if (const auto* text = std::get_if<TextRequest>(&request);
      text != nullptr && !text->text && !text->is_chat) {
    return BadRequest("missing_required_parameter", "content",
                      "there is nothing to tokenize; give 'content', 'prompt' or 'messages'");
  }
  return request;
}

std::variant<TextRequest, ApiError> ParseWarmRequest(std::string_view body, const Limits& limits) {
  TextRequest closed;
  closed.chat.asked_generation_prompt = false;  // what the next turn of any kind begins with
  auto request = ParseText(body, limits, kWarm, std::move(closed));
  if (const auto* text = std::get_if<TextRequest>(&request);
      text != nullptr && !text->text && !text->is_chat) {
    return BadRequest("missing_required_parameter", "messages",
                      "there is nothing to warm; give 'messages' and 'tools', or 'text'");
  }
  return request;
}

std::variant<TextRequest, ApiError> ParseDetokenizeRequest(std::string_view body,
                                                           const Limits& limits) {
  return ParseText(body, limits, kDetokenize);
}

}  // namespace mach::server
