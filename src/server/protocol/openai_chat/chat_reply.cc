#include "server/protocol/openai_chat/chat_reply.h"

#include <utility>

#include "chat/output_event.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/http/ids.h"
#include "server/protocol/response_json.h"

namespace mach::server {
namespace {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

// What has been said of one choice.
struct ChoiceText {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> calls;
  json::Array logprobs;
  std::vector<TokenId> tokens;  // of a stream: those that no event has shown
};

class ChatReply final : public GenerationReply {
 public:
  ChatReply(GenerationReplyOptions options, ChoiceRuns choices,
            std::shared_ptr<engine::Engine> engine, const Clock& clock)
      : GenerationReply(std::move(options), std::move(choices), std::move(engine), clock),
        texts_(choice_count()) {
    set_id(RandomId("chatcmpl-"));
  }

 private:
  void AddReasoning(json::Object& target, const std::string& text) const {
    if (options().reasoning_fields.reasoning_content) target.Set("reasoning_content", text);
    if (options().reasoning_fields.reasoning) target.Set("reasoning", text);
  }

  // ---- whole ----

  void Keep(size_t index, ChoiceRun::Update update) override {
    ChoiceText& text = texts_[index];
    for (OutputDelta& delta : update.deltas) {
      switch (delta.kind) {
        case chat::EventKind::kContent:
          text.content += delta.text;
          break;
        case chat::EventKind::kReasoning:
          text.reasoning += delta.text;
          break;
        case chat::EventKind::kCallStart:
          text.calls.push_back({RandomId("call_"), std::move(delta.text), ""});
          break;
        case chat::EventKind::kArguments:
          text.calls.back().arguments += delta.text;
          break;
        case chat::EventKind::kCallEnd:
          break;
      }
      for (json::Value& entry : delta.logprobs) text.logprobs.push_back(std::move(entry));
    }
    for (json::Value& entry : update.logprobs) text.logprobs.push_back(std::move(entry));
    text.tokens.insert(text.tokens.end(), update.tokens.begin(), update.tokens.end());
  }

  json::Object WholeChoice(size_t index) {
    ChoiceText& text = texts_[index];
    json::Object message{{"role", "assistant"}};
    message.Set("content", text.content.empty() && !text.calls.empty() ? json::Value()
                                                                       : json::Value(text.content));
    message.Set("refusal", nullptr);
    if (!text.reasoning.empty()) AddReasoning(message, text.reasoning);
    if (!text.calls.empty()) {
      json::Array calls;
      for (ToolCall& call : text.calls) {
        calls.push_back(json::Object{
            {"id", call.id},
            {"type", "function"},
            {"function", json::Object{{"name", call.name}, {"arguments", call.arguments}}}});
      }
      message.Set("tool_calls", std::move(calls));
    }
    json::Object choice{{"index", index}, {"message", std::move(message)}};
    choice.Set("logprobs",
               request().logprobs ? LogprobsJson(std::move(text.logprobs)) : json::Value());
    choice.Set("finish_reason", *run(index).finish_reason());
    AddStopReason(index, choice);
    if (request().return_token_ids) choice.Set("token_ids", TokenIdsJson(text.tokens));
    return choice;
  }

  json::Object Body() override {
    json::Object body = Envelope("chat.completion");
    json::Array choices;
    for (size_t i = 0; i < choice_count(); ++i) choices.push_back(WholeChoice(i));
    body.Set("choices", std::move(choices));
    body.Set("usage", Usage());
    body.Set("timings", TimingsJson(run(0)));
    body.Set("mach", MachTimings(run(0)));
    if (request().return_token_ids) {
      body.Set("prompt_token_ids", TokenIdsJson(options().prompts[0].tokens));
    }
    return body;
  }

  // ---- streamed ----

  void AddChunk(size_t index, json::Object delta, json::Value finish_reason, json::Value logprobs,
                std::string& out) {
    json::Object choice{{"index", index}, {"delta", std::move(delta)}};
    choice.Set("logprobs", std::move(logprobs));
    const bool last = !finish_reason.is_null();
    choice.Set("finish_reason", std::move(finish_reason));
    if (last) AddStopReason(index, choice);
    if (request().return_token_ids) {
      choice.Set("token_ids", TokenIdsJson(std::exchange(texts_[index].tokens, {})));
    }
    json::Object chunk = Envelope("chat.completion.chunk");
    chunk.Set("choices", json::Array{std::move(choice)});
    if (request().continuous_usage) chunk.Set("usage", Usage());
    if (last || request().timings_per_token) {
      chunk.Set("timings", TimingsJson(run(index)));
      if (last) chunk.Set("mach", MachTimings(run(index)));
    }
    out += SseEvent(chunk);
  }

  void AddProgress(size_t index, const TokenChannel::Progress& progress, std::string& out) {
    json::Object chunk = Envelope("chat.completion.chunk");
    chunk.Set("choices", json::Array{json::Object{{"index", index},
                                                  {"delta", json::Object()},
                                                  {"logprobs", nullptr},
                                                  {"finish_reason", nullptr}}});
    chunk.Set("prompt_progress", ProgressJson(index, progress));
    out += SseEvent(chunk);
  }

  json::Object DeltaJson(size_t index, OutputDelta& delta) {
    ChoiceText& text = texts_[index];
    switch (delta.kind) {
      case chat::EventKind::kContent:
        return {{"content", std::move(delta.text)}};
      case chat::EventKind::kReasoning: {
        json::Object made;
        AddReasoning(made, delta.text);
        return made;
      }
      case chat::EventKind::kCallStart: {
        text.calls.push_back({RandomId("call_"), delta.text, ""});
        json::Object call{
            {"index", text.calls.size() - 1},
            {"id", text.calls.back().id},
            {"type", "function"},
            {"function", json::Object{{"name", std::move(delta.text)}, {"arguments", ""}}}};
        return {{"tool_calls", json::Array{std::move(call)}}};
      }
      case chat::EventKind::kArguments:
      case chat::EventKind::kCallEnd:
        break;
    }
    json::Object call{{"index", text.calls.size() - 1},
                      {"function", json::Object{{"arguments", std::move(delta.text)}}}};
    return {{"tool_calls", json::Array{std::move(call)}}};
  }

  void BeginStream(std::string& out) override {
    for (size_t i = 0; i < choice_count(); ++i) {
      AddChunk(i, {{"role", "assistant"}, {"content", nullptr}}, nullptr, nullptr, out);
    }
  }

  void AddUpdate(size_t index, ChoiceRun::Update update, std::string& out) override {
    const bool logprobs = request().logprobs;
    if (request().return_progress) {
      for (const TokenChannel::Progress& p : update.progress) AddProgress(index, p, out);
    }
    std::vector<TokenId>& tokens = texts_[index].tokens;
    tokens.insert(tokens.end(), update.tokens.begin(), update.tokens.end());
    for (OutputDelta& delta : update.deltas) {
      if (delta.kind == chat::EventKind::kCallEnd) continue;
      json::Array entries = std::move(delta.logprobs);
      json::Object made = DeltaJson(index, delta);
      if (made.empty()) continue;
      AddChunk(index, std::move(made), nullptr,
               logprobs && !entries.empty() ? LogprobsJson(std::move(entries)) : json::Value(),
               out);
    }
    if (!Finished(index)) return;
    AddChunk(index, {}, *run(index).finish_reason(),
             logprobs && !update.logprobs.empty() ? LogprobsJson(std::move(update.logprobs))
                                                  : json::Value(),
             out);
  }

  void EndStream(std::string& out) override {
    if (!request().include_usage) return;
    json::Object chunk = Envelope("chat.completion.chunk");
    chunk.Set("choices", json::Array());
    chunk.Set("usage", Usage());
    out += SseEvent(chunk);
  }

  std::vector<ChoiceText> texts_;
};

}  // namespace

std::unique_ptr<Reply> MakeChatReply(GenerationReplyOptions options, ChoiceRuns choices,
                                     std::shared_ptr<engine::Engine> engine, const Clock& clock) {
  return std::make_unique<ChatReply>(std::move(options), std::move(choices), std::move(engine),
                                     clock);
}

}  // namespace mach::server
