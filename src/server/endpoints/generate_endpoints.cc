// Endpoints that generate.
#include <utility>

#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/write.h"
#include "server/endpoints/service.h"
#include "server/http/faults.h"
#include "server/protocol/chat_prompt.h"
#include "server/protocol/generation.h"
#include "server/protocol/generation_fields.h"
#include "server/protocol/openai_chat/chat_reply.h"
#include "server/protocol/openai_chat/chat_request.h"
#include "server/protocol/openai_completions/completion_reply.h"
#include "server/protocol/openai_completions/completion_request.h"
#include "server/status/decode_words.h"

namespace mach::server {
// Runs `start` now, or, while the model is being loaded, then.
HandlerResult Service::WhenReady(const std::string& id, const GenerationRequest& request,
                                 const StartFunction& start) const {
  State now = state();
  if (now == State::kLoading) {
    LoadingHold::Wanted wanted;
    wanted.stream = request.stream;
    wanted.ping_interval = options_.limits.ping_interval;
    if (request.ping_interval_s) {
      wanted.ping_interval = *request.ping_interval_s < 0
                                 ? std::optional<std::chrono::milliseconds>()
                                 : std::chrono::seconds(*request.ping_interval_s);
    }
    wanted.answer = [this, id, start, account = MemoryScope::Current()] {
      return Guarded(id, account, [&]() -> HandlerResult {
        if (const auto error = Unavailable()) return ToResponse(*error);
        return start(*model());
      });
    };
    wanted.unavailable = [this] { return UnavailableError(state()); };
    wanted.progress = [this] {
      return std::to_string(static_cast<int>(load_progress().done * 100)) + " %";
    };
    if (auto held = hold_.Hold(std::move(wanted))) return held;
    now = state();  // it may have come meanwhile
  }
  if (now != State::kReady) return ToResponse(UnavailableError(now));
  return start(*model());
}

std::optional<ApiError> Service::CheckModelName(const GenerationRequest& request,
                                                const Model& model) const {
  if (!options_.strict_model || request.model.empty() || IsModelName(model, request.model)) {
    return std::nullopt;
  }
  return ModelNotFound(request.model, model.engine->info().model_id);
}

GenerationReplyOptions Service::ReplyOptions(GenerationRequest request,
                                             std::vector<dialog::Prompt> prompts,
                                             const std::string& id, const Model& model) const {
  GenerationReplyOptions options;
  options.request_id = id;
  options.request = std::move(request);
  options.prompts = std::move(prompts);
  const engine::Info& info = model.engine->info();
  options.model_id = info.model_id;
  options.fingerprint = model.fingerprint;
  options.decode_mode = DecodeMode(info, options.request.speculation);
  options.reasoning_fields = options_.reasoning_fields;
  options.ping_interval = options_.limits.ping_interval;
  options.max_queue_wait = options_.max_queue_wait;
  if (model.facts.profile != "production") options.log = " profile=" + model.facts.profile;
  return options;
}

HandlerResult Service::Chat(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseChatRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  auto request = std::get<GenerationRequest>(std::move(parsed));
  CountNonce(request.chat);
  if (options_.inline_reasoning) request.inline_reasoning = true;
  ReadSessionHeader(http, request.session);
  const auto shared = std::make_shared<GenerationRequest>(std::move(request));
  return WhenReady(http.id, *shared,
                   [this, id = http.id, shared, cancelled = http.cancelled](const Model& model) {
                     return StartChat(id, std::move(*shared), model, cancelled.get());
                   });
}

HandlerResult Service::StartChat(const std::string& id, GenerationRequest request,
                                 const Model& model, const std::atomic<bool>* cancel) const {
  if (const auto error = CheckModelName(request, model)) return ToResponse(*error);
  auto rendered = RenderPrompt(*model.codec, request.chat, id, cancel);
  if (const auto* error = std::get_if<ApiError>(&rendered)) return ToResponse(*error);
  std::vector<dialog::Prompt> prompts{std::get<dialog::Prompt>(std::move(rendered))};
  request.chat.messages = {};  // the prompt has them
  auto choices = PrepareChoices(id, request, prompts, model.engine, model.codec);
  if (const auto* error = std::get_if<ApiError>(&choices)) return ToResponse(*error);
  return MakeChatReply(ReplyOptions(std::move(request), std::move(prompts), id, model),
                       std::get<ChoiceRuns>(std::move(choices)), model.engine, clock_);
}

HandlerResult Service::Complete(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseCompletionRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  auto request = std::get<GenerationRequest>(std::move(parsed));
  ReadSessionHeader(http, request.session);
  const auto shared = std::make_shared<GenerationRequest>(std::move(request));
  return WhenReady(http.id, *shared,
                   [this, id = http.id, shared, cancelled = http.cancelled](const Model& model) {
                     return StartCompletion(id, std::move(*shared), model, cancelled.get());
                   });
}

HandlerResult Service::StartCompletion(const std::string& id, GenerationRequest request,
                                       const Model& model, const std::atomic<bool>* cancel) const {
  if (const auto error = CheckModelName(request, model)) return ToResponse(*error);
  std::vector<dialog::Prompt> prompts;
  for (const auto& given : request.prompts) {
    dialog::Prompt prompt;
    if (const auto* text = std::get_if<std::string>(&given)) {
      prompt.text = *text;
      auto tokens = model.codec->EncodeText(*text, {.add_special = true}, cancel);
      if (!tokens) return ToResponse(FromError(tokens.error(), id));
      prompt.tokens = *std::move(tokens);
    } else {
      prompt.tokens = std::get<std::vector<TokenId>>(given);
      if (request.echo) prompt.text = model.codec->DecodeTokens(prompt.tokens, cancel);
    }
    prompts.push_back(std::move(prompt));
  }
  auto choices = PrepareChoices(id, request, prompts, model.engine, model.codec);
  if (const auto* error = std::get_if<ApiError>(&choices)) return ToResponse(*error);
  return MakeCompletionReply(ReplyOptions(std::move(request), std::move(prompts), id, model),
                             std::get<ChoiceRuns>(std::move(choices)), model.engine, clock_);
}

HandlerResult Service::Embeddings(const HttpRequest&, const std::string&) const {
  ApiError error;
  error.status = 501;
  error.type = "not_supported_error";
  error.code = "not_supported";
  error.message = "this server generates text; it has no model for embeddings";
  return ToResponse(error);
}

}  // namespace mach::server
