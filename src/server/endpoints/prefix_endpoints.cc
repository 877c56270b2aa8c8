// Endpoints of the prefix cache.
#include <utility>

#include "base/log.h"
#include "dialog/prefix_points.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/endpoints/service.h"
#include "server/protocol/chat_prompt.h"
#include "server/protocol/fields.h"
#include "server/protocol/generation.h"
#include "server/protocol/generation_fields.h"
#include "server/protocol/text/text_request.h"
#include "server/protocol/warm/warm_reply.h"

namespace mach::server {
namespace {

ApiError NoPrefixCache() {
  ApiError error;
  error.status = 501;
  error.type = "not_supported_error";
  error.code = "not_supported";
  error.message = "this server runs without a prefix cache; start it with --prefix-cache";
  return error;
}

}  // namespace

void Service::CountNonce(const dialog::ChatInput& chat) const {
  if (!chat.nonce_stripped) return;
  const char* line =
      "took a line out of a system message that differs in every request, so that the rest can be "
      "cached: x-anthropic-billing-header";
  if (nonces_stripped_.fetch_add(1, std::memory_order_relaxed) == 0) {
    LogInfo(std::string(line) + " (logged once)");
  } else {
    LogDebug(line);
  }
}

HandlerResult Service::WarmPrefix(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseWarmRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  auto& asked = std::get<TextRequest>(parsed);
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();
  const engine::Info& info = served->engine->info();
  if (!served->engine->info().has_prefix_cache) return ToResponse(NoPrefixCache());

  engine::Request request;
  request.id = http.id;
  request.warm = true;
  request.session = asked.session;
  ReadSessionHeader(http, request.session);
  if (asked.is_chat) {
    CountNonce(asked.chat);
    auto rendered = RenderPrompt(*served->codec, asked.chat, http.id, http.cancelled.get());
    if (const auto* error = std::get_if<ApiError>(&rendered)) return ToResponse(*error);
    request.prompt = std::move(std::get<dialog::Prompt>(rendered).tokens);
    request.prefix_points = dialog::PrefixPointsOf(request.prompt, info.stop_tokens,
                                                   dialog::BeginsWithSystem(asked.chat));
  } else {
    auto tokens =
        served->codec->EncodeText(*asked.text, {.add_special = true}, http.cancelled.get());
    if (!tokens) return ToResponse(FromError(tokens.error(), http.id));
    request.prompt = *std::move(tokens);
  }
  const char* param = asked.is_chat ? "messages" : "text";
  if (request.prompt.empty()) return ToResponse(WrongValue(param, "has no text"));
  if (request.prompt.size() >= info.context_tokens) {
    return ToResponse(ContextOverflow(request.prompt.size(), info, param));
  }
  return MakeWarmReply(std::move(request), served->engine, clock_);
}

HandlerResult Service::ListPrefixes(const HttpRequest&, const std::string&) const {
  const auto served = model();
  json::Array data;
  if (served != nullptr) {
    for (const engine::PrefixInfo& p : served->engine->prefixes()) {
      data.push_back(json::Object{{"tokens", p.tokens},
                                  {"bytes", p.bytes},
                                  {"kind", PrefixKindName(p.kind)},
                                  {"tier", p.in_memory ? "memory" : "disk"},
                                  {"on_disk", p.on_disk},
                                  {"hits", p.hits},
                                  {"session", p.session.empty() ? json::Value() : p.session}});
    }
  }
  return JsonResponse(json::Object{{"object", "list"}, {"data", std::move(data)}});
}

HandlerResult Service::ClearPrefixes(const HttpRequest&, const std::string&) const {
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();
  if (!served->engine->info().has_prefix_cache) return ToResponse(NoPrefixCache());
  return JsonResponse(json::Object{{"cleared", served->engine->ClearPrefixes()}});
}

}  // namespace mach::server
