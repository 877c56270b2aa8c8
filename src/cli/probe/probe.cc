#include "cli/probe/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/printable.h"
#include "json/parse.h"
#include "json/write.h"
#include "server/http/http.h"

namespace mach::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSampleInterval{10};
constexpr double kLeastHitRate = 0.5;
constexpr int kPromptRepeats = 60;  // sentences, so that the prompt takes a while

struct Samples {
  std::vector<double> times_ms;  // of each look at the statistics while a generation ran
  size_t in_flight = 0;          // of those, how many saw it
  std::string error;
};

std::string Fixed(double value, int digits = 1) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

const json::Value& Member(const json::Value& object, std::initializer_list<const char*> path) {
  static const json::Value& none = *new json::Value();
  const json::Value* at = &object;
  for (const char* key : path) {
    at = at->Find(key);
    if (at == nullptr) return none;
  }
  return *at;
}

double NumberAt(const json::Value& object, std::initializer_list<const char*> path) {
  const json::Value& value = Member(object, path);
  return value.is_number() ? value.AsDouble() : 0;
}

std::string TextAt(const json::Value& object, std::initializer_list<const char*> path) {
  const json::Value& value = Member(object, path);
  return value.is_string() ? value.AsString() : "";
}

// 1 or true.
bool IsSet(const json::Value& object, std::initializer_list<const char*> path) {
  const json::Value& value = Member(object, path);
  return value.is_bool() ? value.AsBool() : value.is_number() && value.AsDouble() != 0;
}

bool FlagAt(const json::Value& object, std::initializer_list<const char*> path) {
  const json::Value& value = Member(object, path);
  return value.is_bool() && value.AsBool();
}

Result<json::Value> AskJson(const HttpClient& client, std::string_view method,
                            std::string_view path, std::string_view body = {}) {
  MACH_TRY(const HttpAnswer answer, client.Request(method, path, body));
  auto value = json::Parse(answer.body);
  if (!value || answer.status != 200) {
    const std::string message = value ? TextAt(*value, {"error", "message"}) : "";
    return Error{
        Code::kIo,
        std::string(path) + " answers with status " + std::to_string(answer.status) +
            (message.empty() ? "" : ": " + message) +
            (answer.status == 401 ? "; give the server's key with --api-key-file FILE" : "")};
  }
  return value;
}

std::string ChatBody(size_t number, size_t max_tokens) {
  // Each prompt begins differently, so that no cached prefix answers for the prefill.
  std::string prompt = "Probe " + std::to_string(number) + ". ";
  for (int i = 0; i < kPromptRepeats; ++i) prompt += "The heron waits beside the quiet water. ";
  prompt += "What is a heron?";
  const json::Object message{{"role", "user"}, {"content", prompt}};
  return json::Write(json::Object{{"messages", json::Array{message}},
                                  {"temperature", 0},
                                  {"ignore_eos", true},
                                  {"max_tokens", max_tokens}});
}

// Looks at the statistics until the generation is over.
void Sample(const HttpClient& client, const std::atomic<bool>& over, Samples& samples) {
  while (!over) {
    const auto begin = SteadyClock::now();
    const auto stats = AskJson(client, "GET", "/v1/cache/stats");
    const std::chrono::duration<double, std::milli> took = SteadyClock::now() - begin;
    if (!stats) {
      samples.error = stats.error().message;
      return;
    }
    if (!over) {
      samples.times_ms.push_back(took.count());
      samples.in_flight += FlagAt(*stats, {"generation_in_flight"}) ? 1 : 0;
    }
    std::this_thread::sleep_for(kSampleInterval);
  }
}

ProbeCheck DirectPread(const json::Value& cache) {
  const json::Value& s = Member(cache, {"streaming_summary"});
  const std::string mode = TextAt(s, {"direct_pread", "mode"});
  if (NumberAt(s, {"bank_slots"}) == 0) {
    return {"direct-pread", ProbeVerdict::kNotApplicable,
            "every expert is resident; none is read from disk", ""};
  }
  const json::Value& sidecar = Member(s, {"sidecar_valid"});
  if (!sidecar.is_null() && !IsSet(s, {"sidecar_valid"})) {
    return {"direct-pread", ProbeVerdict::kFailure, "there is no valid sidecar (mode " + mode + ")",
            "mach export-sidecar <checkpoint>, then restart the server"};
  }
  if (!IsSet(s, {"direct_pread", "active"})) {
    return {"direct-pread", ProbeVerdict::kFailure,
            "direct reads are not active (mode " + mode + ")",
            "restart without LME_DIRECT_PREAD=off, on a file system that takes O_DIRECT"};
  }
  return {"direct-pread", ProbeVerdict::kOk, "active, mode " + mode, ""};
}

ProbeCheck Churn(const json::Value& before, const json::Value& after, const ReuseReport& reuse,
                 size_t tokens) {
  const auto delta = [&](const char* key) {
    return NumberAt(after, {"streaming_summary", key}) -
           NumberAt(before, {"streaming_summary", key});
  };
  const double looked = delta("hits") + delta("misses");
  if (looked <= 0) {
    return {"churn", ProbeVerdict::kNotApplicable, "no expert went through a bank", ""};
  }
  const double rate = delta("hits") / looked;
  std::string found = "hit rate " + Fixed(100 * rate) + " %, " +
                      Fixed(delta("evictions") / static_cast<double>(tokens)) +
                      " evictions a token, policy " +
                      TextAt(after, {"streaming_summary", "eviction_policy"});
  if (reuse.uses > 0) {
    found += ", " + Fixed(100 * reuse.first_uses / reuse.uses) + " % of uses were the first ever";
  }
  const bool low = rate < kLeastHitRate;
  std::string advice;
  if (reuse.advice) {
    advice = "a larger bank has more: " + reuse.advice->Options() + " would have had " +
             Fixed(100 * reuse.advice->hit_rate) +
             " % of what came again (evicting by recency); 'mach check' tells whether that fits";
  } else if (low && reuse.uses > 0) {
    advice =
        "the bank has what comes again; experts that are new are read once: probe again, with more "
        "--requests";
  } else if (low) {
    advice = "give the bank more memory: mach serve --wired-gb N or --expert-cache-gb N";
  }
  return {"churn", low ? ProbeVerdict::kWarning : ProbeVerdict::kOk, std::move(found),
          std::move(advice)};
}

ProbeCheck Prefill(double prefill_tps, double decode_tps) {
  const std::string found =
      "prefill " + Fixed(prefill_tps) + " tokens/s, decode " + Fixed(decode_tps) + " tokens/s";
  if (prefill_tps >= decode_tps) return {"prefill", ProbeVerdict::kOk, found, ""};
  return {"prefill", ProbeVerdict::kWarning, found,
          "a prompt should be read faster than it is written: restart with "
          "LME_TRANSIENT_PREFILL=1, and let nothing else read from the drive"};
}

ProbeCheck Stats(const Samples& samples, double p99, double limit_ms) {
  if (!samples.error.empty()) {
    return {"stats", ProbeVerdict::kFailure, samples.error, "look at the server's log"};
  }
  const std::string found = std::to_string(samples.times_ms.size()) +
                            " looks under generations, 99th percentile " + Fixed(p99, 2) + " ms, " +
                            std::to_string(samples.in_flight) + " saw the generation";
  if (p99 <= limit_ms) return {"stats", ProbeVerdict::kOk, found, ""};
  return {"stats", ProbeVerdict::kWarning, found,
          "the machine has no processor left for the server: lower --threads by one"};
}

// Slow paths that the diagnostic switch allowed, else ones that were asked for.
ProbeCheck SlowPath(const json::Value& paths) {
  std::string names;
  bool fallback = false;
  for (const json::Value& path : paths.AsArray()) {
    const std::string name = path.is_string() ? path.AsString() : "";
    names += (names.empty() ? "" : ", ") + PrintableAscii(name);
    fallback |= name == "buffered_reads" || name == "checkpoint_experts";
  }
  const std::string found = "the server runs on a slow path: profile diagnostic, " + names;
  if (fallback) {
    return {"fallback", ProbeVerdict::kFailure, found,
            "restart without LME_ALLOW_DIAGNOSTIC_FALLBACK: the server refuses to start then, and "
            "says what mends it"};
  }
  return {"fallback", ProbeVerdict::kWarning, found,
          "restart without --bf16-streaming, --isa scalar and --compute f32, unless the processor "
          "has no vector kernels to offer"};
}

ProbeCheck Fallback(const json::Value& stats) {
  const std::string path = TextAt(stats, {"decode_path"});
  const json::Value& slow = Member(stats, {"slow_paths"});
  if (slow.is_array() && !slow.AsArray().empty()) return SlowPath(slow);
  if (path == "target-only") {
    return {"fallback", ProbeVerdict::kOk, "decode path target-only: nothing is drafted",
            "with a drafter: mach serve --draft-dir DIR"};
  }
  const double drafted = NumberAt(stats, {"specdec_drafted"});
  const double accepted = NumberAt(stats, {"specdec_accepted"});
  return {"fallback", ProbeVerdict::kOk,
          "decode path " + path + ", " + Fixed(drafted > 0 ? 100 * accepted / drafted : 0) +
              " % of drafted tokens accepted",
          ""};
}

json::Value AdviceJson(const std::optional<BankAdvice>& advice) {
  if (!advice) return {};
  return json::Object{{"expert_cache_gb", advice->expert_cache_gb},
                      {"wired_gb", advice->wired_gb},
                      {"hit_rate", advice->hit_rate}};
}

}  // namespace

ProbeVerdict ProbeReport::verdict() const {
  ProbeVerdict worst = ProbeVerdict::kOk;
  for (const ProbeCheck& check : checks) worst = std::max(worst, check.verdict);
  return worst;
}

std::string_view VerdictName(ProbeVerdict verdict) {
  switch (verdict) {
    case ProbeVerdict::kOk:
      return "ok";
    case ProbeVerdict::kNotApplicable:
      return "n/a";
    case ProbeVerdict::kWarning:
      return "warn";
    case ProbeVerdict::kFailure:
      break;
  }
  return "FAIL";
}

Result<ProbeReport> RunProbe(const HttpClient& client, const ProbeOptions& options) {
  MACH_TRY(const json::Value before, AskJson(client, "GET", "/v1/cache/stats"));
  if (TextAt(before, {"state"}) == "loading") {
    return Error{Code::kBusy,
                 "the server is loading its model; try again when GET /health answers with status "
                 "200"};
  }
  Samples samples;
  double prompt_tokens = 0, prompt_ms = 0, output_tokens = 0, output_ms = 0;
  for (size_t i = 0; i < options.requests; ++i) {
    std::atomic<bool> over{false};
    std::thread sampler([&] { Sample(client, over, samples); });
    const auto answer =
        AskJson(client, "POST", "/v1/chat/completions", ChatBody(i, options.max_tokens));
    over = true;
    sampler.join();
    if (!answer) return answer.error();
    prompt_tokens += NumberAt(*answer, {"timings", "prompt_n"});
    prompt_ms += NumberAt(*answer, {"timings", "prompt_ms"});
    output_tokens += NumberAt(*answer, {"timings", "predicted_n"});
    output_ms += NumberAt(*answer, {"timings", "predicted_ms"});
  }
  MACH_TRY(const json::Value after, AskJson(client, "GET", "/v1/cache/stats"));
  MACH_TRY(const json::Value stats, AskJson(client, "GET", "/v1/stats"));

  std::sort(samples.times_ms.begin(), samples.times_ms.end());
  const size_t n = samples.times_ms.size();
  const double p99 = n == 0 ? 0 : samples.times_ms[std::min(n - 1, n * 99 / 100)];
  const double prefill_tps = prompt_ms > 0 ? prompt_tokens * 1e3 / prompt_ms : 0;
  const double decode_tps = output_ms > 0 ? output_tokens * 1e3 / output_ms : 0;
  ProbeReport report;
  report.measured = {{"requests", options.requests},
                     {"prompt_tokens", prompt_tokens},
                     {"output_tokens", output_tokens},
                     {"prefill_tokens_per_second", prefill_tps},
                     {"decode_tokens_per_second", decode_tps},
                     {"stats_looks", n},
                     {"stats_p99_ms", p99}};
  const ReuseReport reuse = CompareReuse(before, after);
  report.advice = reuse.advice;
  report.measured.Set("suggestion", AdviceJson(reuse.advice));
  const auto tokens = static_cast<size_t>(std::max(1.0, output_tokens));
  report.checks = {DirectPread(after), Churn(before, after, reuse, tokens),
                   Prefill(prefill_tps, decode_tps), Stats(samples, p99, options.stats_limit_ms),
                   Fallback(stats)};
  return report;
}

}  // namespace mach::cli
