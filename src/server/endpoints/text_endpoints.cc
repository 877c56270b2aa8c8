// Endpoints between text and tokens.
#include <utility>

#include "base/utf8.h"
#include "dialog/codec.h"
#include "json/value.h"
#include "server/endpoints/service.h"
#include "server/protocol/chat_prompt.h"
#include "server/protocol/openai_chat/chat_request.h"
#include "server/protocol/response_json.h"
#include "server/protocol/text/text_request.h"

namespace mach::server {
namespace {

// A token's text; its bytes where they are no whole characters.
json::Value Piece(const dialog::Codec& codec, TokenId token) {
  const std::string bytes = codec.TokenBytes(token);
  if (utf8::IsValid(bytes)) return bytes;
  json::Array numbers;
  for (const char c : bytes) numbers.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
  return numbers;
}

}  // namespace

HandlerResult Service::Tokenize(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseTokenizeRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  const auto& request = std::get<TextRequest>(parsed);
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();

  std::vector<TokenId> tokens;
  if (request.is_chat) {
    auto rendered = RenderPrompt(*served->codec, request.chat, http.id, http.cancelled.get());
    if (const auto* error = std::get_if<ApiError>(&rendered)) return ToResponse(*error);
    tokens = std::move(std::get<dialog::Prompt>(rendered).tokens);
  } else {
    auto encoded = served->codec->EncodeText(
        *request.text,
        {.add_special = request.add_special.value_or(request.text_is_prompt),
         .parse_special = request.parse_special},
        http.cancelled.get());
    if (!encoded) return ToResponse(FromError(encoded.error(), http.id));
    tokens = *std::move(encoded);
  }
  json::Object body;
  if (request.with_pieces) {
    json::Array pieces;
    for (const TokenId token : tokens) {
      pieces.push_back(
          json::Object{{"id", int64_t{token}}, {"piece", Piece(*served->codec, token)}});
    }
    body.Set("tokens", std::move(pieces));
  } else {
    body.Set("tokens", TokenIdsJson(tokens));
  }
  body.Set("count", tokens.size());
  body.Set("max_model_len", served->engine->info().context_tokens);
  if (request.token_strings) {
    json::Array strings;
    for (const TokenId token : tokens) {
      strings.push_back(utf8::Repair(served->codec->TokenBytes(token)));
    }
    body.Set("token_strs", std::move(strings));
  }
  return JsonResponse(body);
}

HandlerResult Service::Detokenize(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseDetokenizeRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  const auto& request = std::get<TextRequest>(parsed);
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();
  const size_t vocab = served->engine->info().vocab_size;
  for (size_t i = 0; i < request.tokens.size(); ++i) {
    if (static_cast<size_t>(request.tokens[i]) < vocab) continue;
    return ToResponse(WrongValue("tokens[" + std::to_string(i) + "]",
                                 "is " + std::to_string(request.tokens[i]) +
                                     ", beyond the vocabulary of " + std::to_string(vocab)));
  }
  const std::string text = served->codec->DecodeTokens(request.tokens, http.cancelled.get());
  return JsonResponse(json::Object{{"content", text}, {"prompt", text}});
}

HandlerResult Service::ApplyTemplate(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseChatRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  const auto& request = std::get<GenerationRequest>(parsed);
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();
  const auto rendered = RenderPrompt(*served->codec, request.chat, http.id, http.cancelled.get());
  if (const auto* error = std::get_if<ApiError>(&rendered)) return ToResponse(*error);
  const dialog::Prompt& prompt = std::get<dialog::Prompt>(rendered);
  json::Array stop;
  for (const TokenId token : served->engine->info().stop_tokens) {
    stop.push_back(served->codec->DecodeTokens(std::vector<TokenId>{token}));
  }
  return JsonResponse(
      json::Object{{"prompt", prompt.text},
                   {"tokens", TokenIdsJson(prompt.tokens)},
                   {"n_tokens", prompt.tokens.size()},
                   {"stop", std::move(stop)},
                   {"reasoning_state", prompt.ends_in_reasoning ? "open" : "closed"}});
}

}  // namespace mach::server
