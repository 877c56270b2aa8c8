#include "engine/testing/scripted_engine.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/utf8.h"
#include "json/value.h"

namespace mach::engine {
namespace {

constexpr std::string_view kMarkers[] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};

class ByteDecoder final : public dialog::TokenDecoder {
 public:
  void Push(TokenId token, std::vector<dialog::OutputPiece>& out) override {
    if (token == kScriptFault) throw std::bad_alloc();
    if (token < kScriptMarkers) {
      out.push_back({std::string(1, static_cast<char>(token)), false});
    } else if (token < kScriptEnd) {
      out.push_back({std::string(kMarkers[token - kScriptMarkers]), true});
    }
  }
  void Finish(std::vector<dialog::OutputPiece>&) override {}
};

}  // namespace

std::vector<TokenId> ScriptTokens(std::string_view text) {
  std::vector<TokenId> tokens;
  while (!text.empty()) {
    size_t taken = 0;
    for (TokenId i = 0; i < 4; ++i) {
      if (!text.starts_with(kMarkers[i])) continue;
      tokens.push_back(kScriptMarkers + i);
      taken = kMarkers[i].size();
    }
    if (taken == 0) {
      tokens.push_back(static_cast<unsigned char>(text.front()));
      taken = 1;
    }
    text.remove_prefix(taken);
  }
  return tokens;
}

void ScriptedCodec::Wait(const std::atomic<bool>* cancel) const {
  ++waits_;
  while (cancel != nullptr && !cancel->load()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ++cancelled_;
}

Result<dialog::Prompt> ScriptedCodec::RenderChat(const dialog::ChatInput& input,
                                                 const std::atomic<bool>* cancel) const {
  std::string text;
  for (const json::Value& message : input.messages) {
    const std::string& content = message.Find("content")->AsString();
    if (content == "REFUSE") {
      return Error{Code::kInvalidArgument, "the chat template refused the conversation"};
    }
    if (content == "EXHAUST") throw std::bad_alloc();
    if (content == "WAIT") {
      Wait(cancel);
      return Error{Code::kCancelled, "the prompt was cancelled"};
    }
    text += content + "\n";
  }
  if (input.continue_final) text.pop_back();
  dialog::Prompt prompt;
  prompt.text = text;
  for (const char c : text) prompt.tokens.push_back(static_cast<unsigned char>(c));
  if (const json::Value* thinking = input.kwargs.Find("enable_thinking");
      thinking != nullptr && thinking->is_bool() && thinking->AsBool()) {
    prompt.tokens.push_back(kScriptMarkers);
    prompt.ends_in_reasoning = true;
  }
  return prompt;
}

Result<std::vector<TokenId>> ScriptedCodec::EncodeText(std::string_view text,
                                                       const dialog::EncodeTextOptions& options,
                                                       const std::atomic<bool>* cancel) const {
  std::vector<TokenId> tokens;
  if (text == "WAIT") {
    Wait(cancel);
    return Error{Code::kCancelled, "the prompt was cancelled"};
  }
  if (options.parse_special) {
    tokens = ScriptTokens(text);
  } else {
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  }
  if (options.add_special) tokens.insert(tokens.begin(), kScriptEnd);
  return tokens;
}

std::string ScriptedCodec::DecodeTokens(std::span<const TokenId> tokens,
                                        const std::atomic<bool>*) const {
  std::string text;
  for (const TokenId token : tokens) text += token == kScriptEnd ? "<end>" : TokenBytes(token);
  return utf8::Repair(text);
}

std::unique_ptr<dialog::TokenDecoder> ScriptedCodec::NewDecoder() const {
  return std::make_unique<ByteDecoder>();
}

std::string ScriptedCodec::TokenBytes(TokenId token) const {
  if (token < kScriptMarkers) return {static_cast<char>(token)};
  return token < kScriptEnd ? std::string(kMarkers[token - kScriptMarkers]) : "";
}

ScriptedEngine::ScriptedEngine(ScriptedOptions options)
    : options_(std::move(options)),
      queue_(std::make_shared<RequestQueue>(options_.max_queue, clock_)) {
  info_.model_id = options_.model_id;
  info_.architecture = "script";
  info_.context_tokens = options_.context_tokens;
  info_.vocab_size = kScriptEnd + 1;
  info_.parameter_count = 1;
  info_.stop_tokens = {kScriptEnd};
  info_.default_sampling.temperature = 0.5f;
  info_.max_queue = options_.max_queue;
  info_.has_drafter = !options_.block_policy.empty();
  info_.block_policy = options_.block_policy;
  info_.eviction_policy = options_.eviction_policy;
  info_.has_prefix_cache = options_.providers.prefix_cache != nullptr;
  thread_ = std::thread([this] { Loop(); });
}

ScriptedEngine::~ScriptedEngine() {
  queue_->Stop();
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

Result<std::shared_ptr<Generation>> ScriptedEngine::Submit(Request request,
                                                           std::shared_ptr<Sink> sink) {
  Request kept = request;
  MACH_TRY(auto item, queue_->Submit(std::move(request), std::move(sink)));
  const std::lock_guard lock(mu_);
  last_ = std::move(kept);
  return std::shared_ptr<Generation>(std::move(item));
}

EngineStats ScriptedEngine::stats() const {
  ++statistics_asked_;
  EngineStats stats{.requests = queue_->stats()};
  if (options_.providers.bank) stats.bank = options_.providers.bank();
  if (options_.providers.speculation) stats.speculation = options_.providers.speculation();
  if (options_.providers.prefix_cache) stats.prefix_cache = options_.providers.prefix_cache();
  return stats;
}

size_t ScriptedEngine::cancelled() const {
  const RequestStats s = queue_->stats();
  return s.cancelled_queued + s.cancelled_prefill + s.cancelled_decode;
}

void ScriptedEngine::Release() {
  const std::lock_guard lock(mu_);
  released_ = true;
  wake_.notify_all();
}

Request ScriptedEngine::last_request() const {
  const std::lock_guard lock(mu_);
  return last_;
}

void ScriptedEngine::Loop() {
  double queue_ms = 0;
  while (const auto item = queue_->Next(queue_ms)) {
    Timings timings;
    timings.prompt_tokens = item->request.prompt.size();
    timings.queue_ms = queue_ms;
    item->OnPrefill(0, timings.prompt_tokens);
    auto result = Run(item->request, item->cancelled(), *item, timings);
    item->OnDone(std::move(result), timings);
  }
}

// False: cancelled.
bool ScriptedEngine::Pace(size_t index, const std::atomic<bool>& cancelled) {
  if (options_.hold_at >= 0 && index >= static_cast<size_t>(options_.hold_at)) {
    std::unique_lock lock(mu_);
    // A cancellation comes without a notice.
    while (!released_ && !stop_ && !cancelled) wake_.wait_for(lock, std::chrono::milliseconds(1));
  }
  if (options_.token_delay.count() > 0) std::this_thread::sleep_for(options_.token_delay);
  return !cancelled;
}

Result<FinishReason> ScriptedEngine::Run(const Request& request, const std::atomic<bool>& cancelled,
                                         Sink& sink, Timings& timings) {
  if (options_.fails)
    return Error{Code::kIo, "'/srv/model/experts.bin' cannot be read: the disk is gone"};
  if (cancelled) return FinishReason::kCancelled;
  sink.OnPrefill(request.prompt.size(), request.prompt.size());
  const auto is_stop = [&](TokenId token) {
    return std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) !=
           request.stop_tokens.end();
  };
  std::vector<TokenId> script = options_.script(request);
  script.push_back(kScriptEnd);
  for (size_t i = 0; i < script.size(); ++i) {
    if (!Pace(i, cancelled)) return FinishReason::kCancelled;
    if (is_stop(script[i])) return FinishReason::kStop;
    if (timings.output_tokens >= request.max_tokens) break;
    TokenEvent event;
    event.token = script[i];
    if (request.want_logprobs) {
      event.logprob = -0.25f;
      for (size_t k = 0; k < request.logprobs; ++k) {
        event.top.push_back({static_cast<TokenId>('a' + k), -0.5f * static_cast<float>(k + 1)});
      }
    }
    ++timings.output_tokens;
    timings.decode_ms += 1;
    sink.OnToken(event);
  }
  return FinishReason::kLength;
}

}  // namespace mach::engine
