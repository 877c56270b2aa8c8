// An engine and a codec for tests: tokens are bytes, and the output is a script.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "server/codec.h"

namespace mach::server {

inline constexpr TokenId kScriptMarkers = 256;  // <think> </think> <tool_call> </tool_call>
inline constexpr TokenId kScriptEnd = 260;      // ends an answer

// Bytes as tokens; Qwen's markers as one token each.
std::vector<TokenId> ScriptTokens(std::string_view text);

// A conversation is rendered as the contents of its messages, each followed by a line break, and
// "<think>\n" where kwargs say enable_thinking. A message "REFUSE" is refused, as a template does.
class ScriptedCodec final : public Codec {
 public:
  Result<Prompt> RenderChat(const ChatInput& input) const override;
  std::unique_ptr<TokenDecoder> NewDecoder() const override;
  std::vector<TokenId> EncodeText(std::string_view text) const override;
  std::string TokenBytes(TokenId token) const override;
  const chat::OutputFormat& format() const override { return format_; }

 private:
  const chat::OutputFormat format_{"<think>", "</think>", "<tool_call>", "</tool_call>", true};
};

struct ScriptedOptions {
  // The answer to a request, without its end. With kScriptEnd inside, generation stops there.
  std::function<std::vector<TokenId>(const engine::Request&)> script;
  size_t context_tokens = 4096;
  size_t max_queue = 4;
  // Tokens after which the engine waits for Release, or for a cancellation; -1: never.
  int64_t hold_at = -1;
  bool fails = false;  // every generation ends with kIo
};

// One request at a time, on a thread of its own.
class ScriptedEngine final : public engine::Engine {
 public:
  explicit ScriptedEngine(ScriptedOptions options);
  ~ScriptedEngine() override;

  const engine::Info& info() const override { return info_; }
  Result<std::shared_ptr<engine::Generation>> Submit(engine::Request request,
                                                     std::shared_ptr<engine::Sink> sink) override;

  void Release();  // lets everything that is held go on
  size_t submitted() const { return submitted_.load(); }
  size_t cancelled() const { return cancelled_.load(); }
  size_t finished() const { return finished_.load(); }
  size_t running() const { return running_.load(); }  // 0 or 1
  engine::Request last_request() const;

 private:
  struct Job;
  void Loop();
  void Run(Job& job);

  const ScriptedOptions options_;
  engine::Info info_;
  std::atomic<size_t> submitted_{0};
  std::atomic<size_t> cancelled_{0};
  std::atomic<size_t> finished_{0};
  std::atomic<size_t> running_{0};
  mutable std::mutex mu_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> queue_;  // guarded by mu_, as all below
  engine::Request last_;
  bool released_ = false;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace mach::server
