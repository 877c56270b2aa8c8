#include "server/scripted_engine.h"

#include <utility>

#include <gtest/gtest.h>

namespace mach::server {
namespace {

constexpr std::string_view kMarkers[] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};

class ByteDecoder final : public TokenDecoder {
 public:
  void Push(TokenId token, std::vector<OutputPiece>& out) override {
    if (token < kScriptMarkers) {
      out.push_back({std::string(1, static_cast<char>(token)), false});
    } else if (token < kScriptEnd) {
      out.push_back({std::string(kMarkers[token - kScriptMarkers]), true});
    }
  }
  void Finish(std::vector<OutputPiece>&) override {}
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

Result<Prompt> ScriptedCodec::RenderChat(const ChatInput& input) const {
  std::string text;
  for (const json::Value& message : input.messages) {
    const std::string& content = message.Find("content")->AsString();
    if (content == "REFUSE") {
      return Error{Code::kInvalidArgument, "the chat template refused the conversation"};
    }
    text += content + "\n";
  }
  Prompt prompt;
  for (const char c : text) prompt.tokens.push_back(static_cast<unsigned char>(c));
  if (const json::Value* thinking = input.kwargs.Find("enable_thinking");
      thinking != nullptr && thinking->is_bool() && thinking->AsBool()) {
    prompt.tokens.push_back(kScriptMarkers);
    prompt.ends_in_reasoning = true;
  }
  return prompt;
}

std::vector<TokenId> ScriptedCodec::EncodeText(std::string_view text) const {
  return ScriptTokens(text);
}

std::unique_ptr<TokenDecoder> ScriptedCodec::NewDecoder() const {
  return std::make_unique<ByteDecoder>();
}

std::string ScriptedCodec::TokenBytes(TokenId token) const {
  if (token < kScriptMarkers) return {static_cast<char>(token)};
  return token < kScriptEnd ? std::string(kMarkers[token - kScriptMarkers]) : "";
}

struct ScriptedEngine::Job final : engine::Generation {
  Job(ScriptedEngine& e, engine::Request r, std::shared_ptr<engine::Sink> s)
      : engine(e), request(std::move(r)), sink(std::move(s)) {}
  void Cancel() override {
    cancelled = true;
    const std::lock_guard lock(engine.mu_);
    engine.wake_.notify_all();
  }
  ScriptedEngine& engine;
  engine::Request request;
  std::shared_ptr<engine::Sink> sink;
  std::atomic<bool> cancelled{false};
};

ScriptedEngine::ScriptedEngine(ScriptedOptions options) : options_(std::move(options)) {
  info_.model_id = "scripted/model";
  info_.architecture = "script";
  info_.context_tokens = options_.context_tokens;
  info_.vocab_size = kScriptEnd + 1;
  info_.parameter_count = 1;
  info_.stop_tokens = {kScriptEnd};
  info_.default_sampling.temperature = 0.5f;
  thread_ = std::thread([this] { Loop(); });
}

ScriptedEngine::~ScriptedEngine() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

Result<std::shared_ptr<engine::Generation>> ScriptedEngine::Submit(
    engine::Request request, std::shared_ptr<engine::Sink> sink) {
  auto job = std::make_shared<Job>(*this, std::move(request), std::move(sink));
  const std::lock_guard lock(mu_);
  if (queue_.size() >= options_.max_queue) {
    return Error{Code::kBusy, std::to_string(queue_.size()) + " requests are waiting already"};
  }
  last_ = job->request;
  ++submitted_;
  queue_.push_back(job);
  wake_.notify_all();
  return std::shared_ptr<engine::Generation>(std::move(job));
}

void ScriptedEngine::Release() {
  const std::lock_guard lock(mu_);
  released_ = true;
  wake_.notify_all();
}

engine::Request ScriptedEngine::last_request() const {
  const std::lock_guard lock(mu_);
  return last_;
}

void ScriptedEngine::Loop() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mu_);
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      job = queue_.front();
      queue_.pop_front();
    }
    running_ = 1;
    Run(*job);
    running_ = 0;
  }
}

void ScriptedEngine::Run(Job& job) {
  const engine::Request& request = job.request;
  engine::Timings timings;
  timings.prompt_tokens = request.prompt.size();
  const auto end = [&](Result<engine::FinishReason> result) {
    ++finished_;
    job.sink->OnDone(std::move(result), timings);
  };
  if (options_.fails) {
    end(Error{Code::kIo, "the disk is gone"});
    return;
  }
  job.sink->OnPrefill(request.prompt.size(), request.prompt.size());
  const auto is_stop = [&](TokenId token) {
    for (const TokenId stop : request.stop_tokens) {
      if (stop == token) return true;
    }
    return false;
  };
  std::vector<TokenId> script = options_.script(request);
  script.push_back(kScriptEnd);
  for (size_t i = 0; i < script.size(); ++i) {
    if (options_.hold_at >= 0 && i >= static_cast<size_t>(options_.hold_at)) {
      std::unique_lock lock(mu_);
      wake_.wait(lock, [&] { return released_ || stop_ || job.cancelled; });
    }
    if (job.cancelled || stop_) {
      ++cancelled_;
      end(engine::FinishReason::kCancelled);
      return;
    }
    if (is_stop(script[i])) {
      end(engine::FinishReason::kStop);
      return;
    }
    if (timings.output_tokens >= request.max_tokens) break;
    engine::TokenEvent event;
    event.token = script[i];
    if (request.want_logprobs) {
      event.logprob = -0.25f;
      for (size_t k = 0; k < request.logprobs; ++k) {
        event.top.push_back({static_cast<TokenId>('a' + k), -0.5f * static_cast<float>(k + 1)});
      }
    }
    ++timings.output_tokens;
    timings.decode_ms += 1;
    job.sink->OnToken(event);
  }
  end(engine::FinishReason::kLength);
}

TEST(ScriptedCodec, DecodesWhatItEncodes) {
  const ScriptedCodec codec;
  const auto decoder = codec.NewDecoder();
  std::vector<OutputPiece> pieces;
  for (const TokenId token : ScriptTokens("a</think>b")) decoder->Push(token, pieces);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].text, "</think>");
  EXPECT_TRUE(pieces[1].is_marker);
  EXPECT_FALSE(pieces[2].is_marker);
}

}  // namespace mach::server
