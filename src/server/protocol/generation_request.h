// What a client asks for, in whichever protocol it came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "dialog/chat_input.h"
#include "engine/engine.h"
#include "json/value.h"

namespace mach::server {

// Unset: the model's default.
struct SamplingRequest {
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<double> repetition_penalty, presence_penalty, frequency_penalty;
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::optional<uint64_t> seed;  // unset: a random one
};

struct GenerationRequest {
  std::string model;  // as named by the client; empty: whatever is there
  dialog::ChatInput chat;
  std::vector<std::variant<std::string, std::vector<TokenId>>> prompts;  // instead of a chat
  bool echo = false;  // the prompts come back in front of the answers
  SamplingRequest sampling;
  std::string session;  // whose turn it is; empty: unknown

  std::optional<size_t> max_tokens;  // unset: what the context leaves
  std::vector<std::string> stop;
  bool include_stop = false;  // the matched stop string stays in the output
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
  size_t choices = 1;
  bool logprobs = false;
  size_t top_logprobs = 0;

  bool parse_tools = false;  // there are tools, and calls of them are wanted
  bool parallel_tool_calls = true;
  bool force_call = false;      // the answer begins with a call ...
  std::string forced_function;  // ... of this one; empty: of any
  bool include_reasoning = true;
  bool inline_reasoning = false;  // reasoning stays in the content, in its marks

  engine::SpeculationMode speculation = engine::SpeculationMode::kAuto;

  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
  bool return_progress = false;
  bool timings_per_token = false;
  bool return_token_ids = false;
  std::optional<int64_t> ping_interval_s;  // of silence; -1: no pings

  std::vector<std::string> ignored;  // names of parameters that nobody here knows
};

}  // namespace mach::server
