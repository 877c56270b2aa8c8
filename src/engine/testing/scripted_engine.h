// An engine and a codec for tests: tokens are bytes, and the output is a script.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cache/prefix_counters.h"
#include "chat/output_parser.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "engine/request_queue.h"
#include "experts/counters.h"
#include "spec/statistics.h"

namespace mach::engine {

// What the engine tells of parts that it does not have. Called from any thread. An empty one: the
// default.
struct StatsProviders {
  std::function<experts::BankStats()> bank;
  std::function<spec::StatisticsSnapshot()> speculation;
  std::function<cache::PrefixCounters()> prefix_cache;  // of the cache that it claims to have
};

inline constexpr TokenId kScriptMarkers = 256;  // <think> </think> <tool_call> </tool_call>
inline constexpr TokenId kScriptEnd = 260;      // ends an answer
inline constexpr TokenId kScriptFault = 261;    // cannot be decoded

// Bytes as tokens; Qwen's markers as one token each.
std::vector<TokenId> ScriptTokens(std::string_view text);

// A conversation is rendered as the contents of its messages, each followed by a line break (but
// for one that is continued), and
// "<think>\n" where kwargs say enable_thinking. A message "REFUSE" is refused, as a template does;
// "EXHAUST" throws std::bad_alloc, as does the decoder at kScriptFault. "WAIT", as a message or a
// text, ends when it is cancelled.
class ScriptedCodec final : public dialog::Codec {
 public:
  // function_tags: see chat::OutputFormat.
  explicit ScriptedCodec(bool function_tags = true)
      : format_{"<think>", "</think>", "<tool_call>", "</tool_call>", true, function_tags} {}
  Result<dialog::Prompt> RenderChat(const dialog::ChatInput& input,
                                    const std::atomic<bool>* cancel) const override;
  std::unique_ptr<dialog::TokenDecoder> NewDecoder() const override;
  Result<std::vector<TokenId>> EncodeText(std::string_view text,
                                          const dialog::EncodeTextOptions& options,
                                          const std::atomic<bool>* cancel) const override;
  std::string DecodeTokens(std::span<const TokenId> tokens,
                           const std::atomic<bool>* cancel) const override;
  std::string TokenBytes(TokenId token) const override;
  const chat::OutputFormat& format() const override { return format_; }
  const std::string& template_source() const override { return source_; }
  int waits() const { return waits_; }          // calls that have begun to wait
  int cancelled() const { return cancelled_; }  // and those that were cancelled

 private:
  void Wait(const std::atomic<bool>* cancel) const;
  const chat::OutputFormat format_;
  mutable std::atomic<int> waits_{0}, cancelled_{0};
  const std::string source_ = "{{ messages }}";
};

struct ScriptedOptions {
  std::string model_id = "scripted/model";
  // The answer to a request, without its end. With kScriptEnd inside, generation stops there.
  std::function<std::vector<TokenId>(const Request&)> script;
  size_t context_tokens = 4096;
  size_t max_queue = 4;
  std::string block_policy;  // of the drafter that it claims to have; empty: none
  std::string eviction_policy;
  // Tokens after which the engine waits for Release, or for a cancellation; -1: never.
  int64_t hold_at = -1;
  std::chrono::microseconds token_delay{0};
  bool fails = false;  // every generation ends with kIo
  StatsProviders providers;
};

// One request at a time, on a thread of its own.
class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(ScriptedOptions options);
  ~ScriptedEngine() override;

  const Info& info() const override { return info_; }
  Result<std::shared_ptr<Generation>> Submit(Request request, std::shared_ptr<Sink> sink) override;
  EngineStats stats() const override;
  std::vector<RequestInfo> requests() const override { return queue_->List(); }
  size_t CancelRequest(std::string_view id) override { return queue_->Cancel(id); }

  void Release();  // lets everything that is held go on
  size_t submitted() const { return queue_->stats().accepted; }
  size_t cancelled() const;
  size_t running() const { return queue_->stats().running; }     // 0 or 1
  size_t statistics_asked() const { return statistics_asked_; }  // how often
  Request last_request() const;

 private:
  void Loop();
  bool Pace(size_t index, const std::atomic<bool>& cancelled);
  Result<FinishReason> Run(const Request& request, const std::atomic<bool>& cancelled, Sink& sink,
                           Timings& timings);

  const SystemClock clock_;
  const ScriptedOptions options_;
  Info info_;
  const std::shared_ptr<RequestQueue> queue_;
  mutable std::mutex mu_;
  std::condition_variable wake_;
  mutable std::atomic<size_t> statistics_asked_{0};
  Request last_;  // guarded by mu_, as all below
  bool released_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace mach::engine
