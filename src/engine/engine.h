// Requests in, tokens out. What a server or a command line sees of inference.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/prefix_point.h"
#include "base/result.h"
#include "engine/prefix_points.h"
#include "engine/stats.h"
#include "sample/params.h"
#include "spec/mode.h"

namespace mach::engine {

// How a request wants its tokens proposed; of speed alone.
using SpeculationMode = spec::Mode;
inline std::optional<SpeculationMode> SpeculationModeFromName(std::string_view name) {
  return spec::ModeFromName(name);
}
using DraftSource = spec::DraftSource;

struct Request {
  std::string id;               // for logs, listings and cancellation
  std::string session;          // sessions take turns; empty: a session of its own
  std::vector<TokenId> prompt;  // at least one token
  sample::Params sampling;
  std::vector<PrefixPoint>
      prefix_points;                 // positions of the prompt that another one may share up to
  bool warm = false;                 // only fills the prefix cache
  size_t max_tokens = 0;             // 0: prefill only. Cut to what the context leaves
  std::vector<TokenId> stop_tokens;  // end of sequence; the token itself is not part of the output
  size_t logprobs = 0;               // alternatives to report with each token
  bool want_logprobs = false;
  SpeculationMode speculation = SpeculationMode::kAuto;
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

struct TokenEvent {
  TokenId token = 0;
  float logprob = 0;  // when want_logprobs: of the model's distribution, before sampling filters
  std::vector<TokenLogprob> top;  // most probable first
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled };

struct Timings {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;
  size_t output_tokens = 0;
  double queue_ms = 0;
  double prefill_ms = 0;
  double decode_ms = 0;  // from the first token to the last
};

// What a request's events go to. Called one at a time, in this order: OnPrefill*, OnToken*, then
// exactly one OnDone. On the engine thread, but for the OnDone of a request that is cancelled while
// it waits: that comes on the thread that cancels, within the call. Must return quickly and must
// not call the engine.
class Sink {
 public:
  virtual ~Sink() = default;
  // The first one tells, before any work, what a cache has spared: done_tokens.
  virtual void OnPrefill(size_t done_tokens, size_t total_tokens) = 0;
  virtual void OnToken(const TokenEvent& event) = 0;
  // The last token of a stop is not reported. kCancelled comes as a result too; errors are
  // failures.
  virtual void OnDone(Result<FinishReason> result, const Timings& timings) = 0;
};

// A submitted request. Any thread; may outlive its engine.
class Generation {
 public:
  virtual ~Generation() = default;
  // Work stops within one layer and OnDone follows; of a request that waits, at once.
  virtual void Cancel() = 0;
  // 1: the next to run; 0: does not wait.
  virtual size_t queue_position() const = 0;
};

enum class RequestState : uint8_t { kQueued, kPrefill, kDecode };

// A request that is not over, as listings show it.
struct RequestInfo {
  std::string id;
  std::string session;
  RequestState state = RequestState::kQueued;
  size_t queue_position = 0;  // as Generation::queue_position
  double age_ms = 0;          // since it was submitted
  size_t prompt_tokens = 0;
  size_t prefilled_tokens = 0;
  size_t output_tokens = 0;
  size_t max_tokens = 0;
};

// A prefix that is cached.
struct PrefixInfo {
  size_t tokens = 0;
  uint64_t bytes = 0;
  PrefixKind kind = PrefixKind::kMessage;
  bool in_memory = false, on_disk = false;
  double hits = 0;
  std::string session;  // that it belongs to; empty: unknown
};

// What an engine is. Does not change while it lives.
struct Info {
  std::string model_id;
  std::string architecture;
  size_t context_tokens = 0;
  size_t most_context_tokens = 0;  // that a restart with another --ctx-size could give
  size_t vocab_size = 0;
  size_t parameter_count = 0;
  std::vector<TokenId> stop_tokens;  // see ModelDefaults
  sample::Params default_sampling;   // of generation_config.json
  size_t max_queue = 0;              // requests that wait, besides the one that runs
  bool has_drafter = false;
  std::string block_policy;     // what decides how much the drafter drafts; empty without one
  std::string eviction_policy;  // of experts that stream; empty: every expert is resident
  bool has_prefix_cache = false;
};

// Where this engine takes the drafts of a request of that mode from.
inline DraftSource DraftSourceOf(const Info& info, SpeculationMode mode) {
  return spec::DraftSourceOf(mode, info.has_drafter);
}

// What mends a prompt that the context does not hold: "shorten it, or restart with --ctx-size up to
// 40960". Never a context that would be refused.
std::string HowToFitPrompt(const Info& info, size_t prompt_tokens);

// Thread-safe. Destruction cancels what runs and joins the engine thread.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const Info& info() const = 0;
  // kInvalidArgument when the request cannot be served (prompt beyond the context, ids out of
  // range), kBusy when the queue is full; sink is not called then.
  virtual Result<std::shared_ptr<Generation>> Submit(Request request,
                                                     std::shared_ptr<Sink> sink) = 0;

  // These wait for no generation.
  virtual EngineStats stats() const = 0;
  // The running one first, then those that wait, in the order of their turns.
  virtual std::vector<RequestInfo> requests() const = 0;
  // Cancels the requests of that id, and those of its choices ("ID/0", "ID/1", ...). How many.
  virtual size_t CancelRequest(std::string_view id) = 0;
  // The prefix cache; without one there is nothing.
  virtual std::vector<PrefixInfo> prefixes() const { return {}; }
  virtual size_t ClearPrefixes() { return 0; }  // how many there were
};

}  // namespace mach::engine
