#include "server/chat_reply.h"

#include <utility>

#include "json/write.h"
#include "server/ids.h"
#include "server/response_json.h"

namespace mach::server {
namespace {

constexpr double kNsPerMs = 1e6;

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

class ChatReply final : public Reply {
 public:
  ChatReply(ChatReplyOptions options, ChoiceRuns choices, const Clock& clock)
      : options_(std::move(options)),
        choices_(std::move(choices)),
        texts_(choices_.size()),
        clock_(clock),
        id_(RandomId("chatcmpl-")),
        created_(clock.UnixSeconds()) {}

  void Start(std::function<void()> wake) override {
    started_ns_ = clock_.NowNs();
    for (const auto& choice : choices_) {
      if (Status status = choice->Submit(wake); !status) {
        error_ = FromError(status.error());
        break;
      }
    }
    if (error_) {
      for (const auto& choice : choices_) choice->Cancel();
      wake();
    }
  }

  void Abort(const ApiError& error) override {
    if (!error_) error_ = error;
    for (const auto& choice : choices_) choice->Cancel();
  }

  std::string Ping() override {
    for (const auto& choice : choices_) {
      if (choice->finished()) continue;
      const auto& progress = choice->progress();
      if (!progress) return ": queued\n\n";
      if (progress->done < progress->total) {
        return ": prefill " + std::to_string(progress->done) + "/" +
               std::to_string(progress->total) + "\n\n";
      }
      break;
    }
    return ": ping\n\n";
  }

  std::optional<std::chrono::milliseconds> PingInterval() const override {
    const auto& asked = options_.request.ping_interval_s;
    if (!asked) return options_.ping_interval;
    if (*asked < 0) return std::nullopt;
    return std::chrono::seconds(*asked);
  }

  ReplyStep Take() override {
    ReplyStep step = options_.request.stream ? TakeStreamed() : TakeWhole();
    if (step.head && !options_.request.ignored.empty()) {
      std::string names;
      for (const std::string& name : options_.request.ignored) {
        names += (names.empty() ? "" : ", ") + name;
      }
      step.head->headers.push_back({"x-mach-ignored-parameters", names});
    }
    return step;
  }

  std::string Summary() const override {
    return std::string(" stream=") + (options_.request.stream ? "1" : "0") +
           SummaryText(options_.prompt.tokens.size(), choices_, ttft_ms_);
  }

 private:
  bool AllFinished() const {
    for (const auto& choice : choices_) {
      if (!choice->finished()) return false;
    }
    return true;
  }

  // The update of a choice, with what it says kept for whole answers.
  ChoiceRun::Update Update(size_t index) {
    ChoiceRun::Update update = choices_[index]->Take();
    if (ttft_ms_ == 0 && !update.tokens.empty()) {
      ttft_ms_ = static_cast<double>(clock_.NowNs() - started_ns_) / kNsPerMs;
    }
    if (update.finished && !choices_[index]->finish_reason().ok() && !error_) {
      error_ = FromError(choices_[index]->finish_reason().error());
    }
    return update;
  }

  json::Object Usage() const { return UsageJson(options_.prompt.tokens.size(), choices_); }

  json::Object MachTimings(const ChoiceRun& choice) const {
    return {{"queue_ms", choice.timings().queue_ms}, {"ttft_ms", ttft_ms_}};
  }

  json::Object Envelope(std::string_view object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", options_.model_id},
            {"system_fingerprint", options_.fingerprint}};
  }

  void AddReasoning(json::Object& target, const std::string& text) const {
    if (options_.reasoning_fields.reasoning_content) target.Set("reasoning_content", text);
    if (options_.reasoning_fields.reasoning) target.Set("reasoning", text);
  }

  // ---- whole ----

  void Keep(ChoiceText& text, ChoiceRun::Update update) {
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
               options_.request.logprobs ? LogprobsJson(std::move(text.logprobs)) : json::Value());
    choice.Set("finish_reason", *choices_[index]->finish_reason());
    AddStopReason(index, choice);
    if (options_.request.return_token_ids) choice.Set("token_ids", TokenIdsJson(text.tokens));
    return choice;
  }

  // The stop string that was found, as vLLM names it.
  void AddStopReason(size_t index, json::Object& choice) const {
    const int stop = choices_[index]->pipeline().stop_string();
    if (stop >= 0) choice.Set("stop_reason", options_.request.stop[static_cast<size_t>(stop)]);
  }

  ReplyStep TakeWhole() {
    ReplyStep step;
    if (!error_) {
      for (size_t i = 0; i < choices_.size(); ++i) {
        if (!choices_[i]->finished()) Keep(texts_[i], Update(i));
      }
    }
    if (error_) {
      step.head = ToResponse(*error_);
      step.done = true;
      return step;
    }
    if (!AllFinished()) return step;
    json::Object body = Envelope("chat.completion");
    json::Array choices;
    for (size_t i = 0; i < choices_.size(); ++i) choices.push_back(WholeChoice(i));
    body.Set("choices", std::move(choices));
    body.Set("usage", Usage());
    body.Set("timings", TimingsJson(*choices_[0]));
    body.Set("mach", MachTimings(*choices_[0]));
    if (options_.request.return_token_ids) {
      body.Set("prompt_token_ids", TokenIdsJson(options_.prompt.tokens));
    }
    step.head.emplace();
    step.head->body = json::Write(body);
    step.done = true;
    return step;
  }

  // ---- streamed ----

  void AddChunk(size_t index, json::Object delta, json::Value finish_reason, json::Value logprobs,
                std::string& out) {
    json::Object choice{{"index", index}, {"delta", std::move(delta)}};
    choice.Set("logprobs", std::move(logprobs));
    const bool last = !finish_reason.is_null();
    choice.Set("finish_reason", std::move(finish_reason));
    if (last) AddStopReason(index, choice);
    if (options_.request.return_token_ids) {
      choice.Set("token_ids", TokenIdsJson(std::exchange(texts_[index].tokens, {})));
    }
    json::Object chunk = Envelope("chat.completion.chunk");
    chunk.Set("choices", json::Array{std::move(choice)});
    if (options_.request.continuous_usage) chunk.Set("usage", Usage());
    if (last || options_.request.timings_per_token) {
      chunk.Set("timings", TimingsJson(*choices_[index]));
      if (last) chunk.Set("mach", MachTimings(*choices_[index]));
    }
    out += SseEvent(chunk);
  }

  void AddProgress(size_t index, const TokenChannel::Progress& progress, std::string& out) {
    json::Object chunk = Envelope("chat.completion.chunk");
    chunk.Set("choices", json::Array{json::Object{{"index", index},
                                                  {"delta", json::Object()},
                                                  {"logprobs", nullptr},
                                                  {"finish_reason", nullptr}}});
    const double ms = static_cast<double>(clock_.NowNs() - started_ns_) / kNsPerMs;
    chunk.Set("prompt_progress", json::Object{{"total", progress.total},
                                              {"cache", choices_[index]->timings().cached_tokens},
                                              {"processed", progress.done},
                                              {"time_ms", ms}});
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

  void AddUpdate(size_t index, ChoiceRun::Update update, std::string& out) {
    const bool logprobs = options_.request.logprobs;
    if (options_.request.return_progress) {
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
    if (!update.finished || error_) return;
    AddChunk(index, {}, *choices_[index]->finish_reason(),
             logprobs && !update.logprobs.empty() ? LogprobsJson(std::move(update.logprobs))
                                                  : json::Value(),
             out);
  }

  ReplyStep TakeStreamed() {
    ReplyStep step;
    if (!head_sent_) {
      head_sent_ = true;
      if (error_) {
        step.head = ToResponse(*error_);
        step.done = true;
        return step;
      }
      step.head.emplace();
      step.head->streaming = true;
      step.head->content_type = "text/event-stream";
      step.head->headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
      for (size_t i = 0; i < choices_.size(); ++i) {
        AddChunk(i, {{"role", "assistant"}, {"content", nullptr}}, nullptr, nullptr, step.bytes);
      }
    }
    if (!error_) {
      for (size_t i = 0; i < choices_.size() && !error_; ++i) {
        if (!choices_[i]->finished()) AddUpdate(i, Update(i), step.bytes);
      }
    }
    if (error_) {
      step.bytes += SseEvent(ToJson(*error_));
      step.bytes += kSseDone;
      step.done = true;
      return step;
    }
    if (!AllFinished()) return step;
    if (options_.request.include_usage) {
      json::Object chunk = Envelope("chat.completion.chunk");
      chunk.Set("choices", json::Array());
      chunk.Set("usage", Usage());
      step.bytes += SseEvent(chunk);
    }
    step.bytes += kSseDone;
    step.done = true;
    return step;
  }

  const ChatReplyOptions options_;
  const ChoiceRuns choices_;
  std::vector<ChoiceText> texts_;
  const Clock& clock_;
  const std::string id_;
  const int64_t created_;
  int64_t started_ns_ = 0;
  double ttft_ms_ = 0;
  bool head_sent_ = false;
  std::optional<ApiError> error_;
};

}  // namespace

std::unique_ptr<Reply> MakeChatReply(ChatReplyOptions options, ChoiceRuns choices,
                                     const Clock& clock) {
  return std::make_unique<ChatReply>(std::move(options), std::move(choices), clock);
}

}  // namespace mach::server
