#include "server/protocol/response_json.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "engine/engine.h"
#include "json/write.h"

namespace mach::server {
namespace {

double PerSecond(size_t n, double ms) {
  return ms > 0 ? static_cast<double>(n) * 1000.0 / ms : 0.0;
}

}  // namespace

std::string SseEvent(const json::Value& value) { return "data: " + json::Write(value) + "\n\n"; }

HttpResponse SseHead() {
  HttpResponse head;
  head.streaming = true;
  head.content_type = "text/event-stream";
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  return head;
}

json::Object UsageJson(size_t prompt_tokens, const ChoiceRuns& choices) {
  size_t output = 0;
  size_t reasoning = 0;
  size_t cached = 0;
  for (const auto& choice : choices) {
    output += choice->pipeline().tokens();
    reasoning += choice->pipeline().reasoning_tokens();
    cached = std::max(cached, choice->timings().cached_tokens);
  }
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", output},
          {"total_tokens", prompt_tokens + output},
          {"prompt_tokens_details", json::Object{{"cached_tokens", cached}}},
          {"completion_tokens_details", json::Object{{"reasoning_tokens", reasoning},
                                                     {"accepted_prediction_tokens", 0},
                                                     {"rejected_prediction_tokens", 0}}}};
}

json::Object TimingsJson(const ChoiceRun& choice) {
  const engine::Timings& t = choice.timings();
  const size_t prompt = t.prompt_tokens - std::min(t.prompt_tokens, t.cached_tokens);
  const size_t output = choice.pipeline().tokens();
  return {{"prompt_n", prompt},
          {"prompt_ms", t.prefill_ms},
          {"prompt_per_second", PerSecond(prompt, t.prefill_ms)},
          {"predicted_n", output},
          {"predicted_ms", t.decode_ms},
          {"predicted_per_second", PerSecond(output, t.decode_ms)},
          {"cache_n", t.cached_tokens}};
}

json::Array TokenIdsJson(const std::vector<TokenId>& tokens) {
  json::Array ids;
  for (const TokenId token : tokens) ids.emplace_back(int64_t{token});
  return ids;
}

json::Value LogprobsJson(json::Array entries) {
  return json::Object{{"content", std::move(entries)}, {"refusal", nullptr}};
}

std::string SummaryText(size_t prompt_tokens, const ChoiceRuns& choices, double ttft_ms) {
  size_t output = 0;
  size_t cached = 0;
  double queue_ms = 0;
  std::string finish;
  for (const auto& choice : choices) {
    output += choice->pipeline().tokens();
    cached = std::max(cached, choice->timings().cached_tokens);
    queue_ms = std::max(queue_ms, choice->timings().queue_ms);
    if (!finish.empty()) finish += ',';
    finish += !choice->finished()            ? "cancelled"
              : choice->finish_reason().ok() ? *choice->finish_reason()
                                             : "error";
  }
  char times[96];
  std::snprintf(times, sizeof times, " queue_ms=%.1f ttft_ms=%.1f", queue_ms, ttft_ms);
  return " prompt_tokens=" + std::to_string(prompt_tokens) +
         " cached_tokens=" + std::to_string(cached) + " output_tokens=" + std::to_string(output) +
         " finish=" + finish + times;
}

}  // namespace mach::server
