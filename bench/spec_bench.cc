// What speculation gains on held-out chats, by category; and whether it changed a token.
//
//   MACH_BENCH_MODEL=models/mach-tiny MACH_BENCH_DRAFT=models/mach-tiny-dflash
//   MACH_BENCH_CHATS=chats.jsonl [MACH_BENCH_COUNT=300] [MACH_BENCH_TOKENS=64]
//   [MACH_BENCH_CLOCK=wall] [MACH_BENCH_THREADS=1] [MACH_BENCH_DRAFT_BITS=8]
//   [MACH_BENCH_TEMPERATURES=0,0.7,1] spec_bench
//
// Each chat is answered three times, one after the other, so that a busy machine slows all of them
// alike: one token at a time, with the adaptive policy, and with blocks of 16. The order of the
// first two alternates. Speed is that of decoding, the prompt left out. The clock "cpu" counts the
// processor time of the program instead (use one thread), which other programs disturb less.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <sstream>
#include <string>

#include "base/topology.h"
#include "chat/template.h"
#include "engine/decoder.h"
#include "json/parse.h"
#include "text/tokenizer.h"

namespace mach {
namespace {

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "spec_bench: %s\n", message.c_str());
  std::exit(2);
}
template <class T>
T Must(Result<T> result) {
  if (!result) Die(result.error().message);
  return *std::move(result);
}
std::string Env(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  if (value == nullptr && fallback == nullptr) Die(std::string(name) + " must be set");
  return value == nullptr ? fallback : value;
}
size_t EnvNumber(const char* name, const char* fallback) {
  return static_cast<size_t>(std::strtoul(Env(name, fallback).c_str(), nullptr, 10));
}

class CpuClock final : public Clock {
 public:
  int64_t NowNs() const override {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }
  int64_t UnixSeconds() const override { return 0; }
};

struct Chat {
  std::string category;
  std::vector<TokenId> prompt;
};

// By what the user asks for and how the data set answers.
std::string CategoryOf(const std::string& user, const std::string& answer, bool calls) {
  const auto starts = [&](std::string_view with) { return user.starts_with(with); };
  if (calls) return "tool calls";
  if (starts("Extract ")) return "JSON";
  if (starts("Repeat exactly") || answer.size() > 3 * user.size() / 4) {
    if (user.find(answer) != std::string::npos) return "copying";
  }
  if (answer.starts_with("- ") || answer.find("\n- ") != std::string::npos) return "bullets";
  if (starts("Classify")) return "labels";
  if (user.find('`') != std::string::npos || starts("Explain ") || starts("How do I"))
    return "commands";
  const bool defines = starts("Define") || starts("define") || starts("What does") ||
                       starts("What's the meaning") || starts("What is") || starts("what is");
  return defines ? "definitions" : "other";
}

std::string TextOf(const json::Value& message, const char* key) {
  const json::Value* found = message.Find(key);
  return found != nullptr && found->is_string() ? found->AsString() : "";
}

std::vector<Chat> LoadChats(const io::Checkpoint& checkpoint, size_t count) {
  const auto tokenizer =
      Must(text::Tokenizer::FromJson(Must(checkpoint.ReadText("tokenizer.json", 64u << 20))));
  const auto chat_template =
      Must(chat::Template::Parse(Must(checkpoint.ReadText("chat_template.jinja", 1u << 20))));
  const std::string lines =
      Must(io::ReadSmallFile(io::PosixFileSystem(), Env("MACH_BENCH_CHATS", nullptr), 64u << 20));
  std::istringstream in(lines);
  std::vector<Chat> chats;
  for (std::string line; chats.size() < count && std::getline(in, line);) {
    const json::Value chat = Must(json::Parse(line));
    json::Object variables;
    json::Array messages;
    Chat out;
    for (const json::Value& m : chat.Find("messages")->AsArray()) {
      if (TextOf(m, "role") == "assistant") {
        const json::Value* calls = m.Find("tool_calls");
        const std::string text = TextOf(m, "content");
        out.category =
            CategoryOf(TextOf(messages.back(), "content"), text,
                       (calls != nullptr && calls->is_array() && !calls->AsArray().empty()) ||
                           text.find("<tool_call>") != std::string::npos);
        break;
      }
      messages.push_back(m);
    }
    variables.Set("messages", std::move(messages));
    if (const json::Value* tools = chat.Find("tools")) variables.Set("tools", *tools);
    variables.Set("add_generation_prompt", true);
    out.prompt = tokenizer->Encode(Must(chat_template.Render(variables, {})).text);
    chats.push_back(std::move(out));
  }
  return chats;
}

class TokenSink final : public engine::Sink {
 public:
  void OnPrefill(size_t, size_t) override {}
  void OnToken(const engine::TokenEvent& event) override { tokens.push_back(event.token); }
  void OnDone(Result<engine::FinishReason>, const engine::Timings&) override {}
  std::vector<TokenId> tokens;
};

struct Run {
  std::vector<TokenId> tokens;
  double decode_ms = 0;
};

struct Row {
  size_t chats = 0, tokens = 0;
  double plain_ms = 0, adaptive_ms = 0, fixed_ms = 0;
  size_t fixed_cycles = 0, fixed_accepted = 0;
  size_t adaptive_cycles = 0, adaptive_accepted = 0, adaptive_drafted = 0;

  void Add(const Row& o) {
    chats += o.chats;
    tokens += o.tokens;
    plain_ms += o.plain_ms;
    adaptive_ms += o.adaptive_ms;
    fixed_ms += o.fixed_ms;
    fixed_cycles += o.fixed_cycles;
    fixed_accepted += o.fixed_accepted;
    adaptive_cycles += o.adaptive_cycles;
    adaptive_accepted += o.adaptive_accepted;
    adaptive_drafted += o.adaptive_drafted;
  }
};

double PerCycle(size_t accepted, size_t cycles) {
  return cycles == 0 ? 0 : 1 + static_cast<double>(accepted) / static_cast<double>(cycles);
}

class Bench {
 public:
  Bench() {
    model::LoadOptions load;
    load.checkpoint = Env("MACH_BENCH_MODEL", nullptr);
    load.context_tokens = 2048;
    load.threads = EnvNumber("MACH_BENCH_THREADS", "1");
    model_ = Must(model::LoadedModel::Load(io::PosixFileSystem(), load));
    const int bits = static_cast<int>(EnvNumber("MACH_BENCH_DRAFT_BITS", "8"));
    draft_ =
        Must(spec::DraftModel::Load(io::PosixFileSystem(), {Env("MACH_BENCH_DRAFT", nullptr), bits},
                                    model_->config(), model_->ledger()));
    adaptive_ = Must(engine::Decoder::Create(*model_, clock_, {draft_, {}}));
    fixed_ = Must(engine::Decoder::Create(*model_, clock_, {draft_, {.fixed = spec::kMaxBlock}}));
    chats_ = LoadChats(model_->checkpoint(), EnvNumber("MACH_BENCH_COUNT", "300"));
    most_ = EnvNumber("MACH_BENCH_TOKENS", "64");
    std::printf("%zu chats, at most %zu tokens, %zu threads, %s, drafter %s\n", chats_.size(),
                most_, model_->threads(), std::string(IsaName(model_->kernels().isa)).c_str(),
                bits == 0 ? "as stored" : (std::to_string(bits) + " bit").c_str());
  }

  // Answers that differed from decoding one by one.
  size_t Measure(float temperature) {
    size_t different = 0;
    std::map<std::string, Row> rows;
    for (size_t i = 0; i < chats_.size(); ++i) {
      const Chat& chat = chats_[i];
      Row row;
      Run plain, adaptive;
      const spec::StatisticsSnapshot before = adaptive_->speculators().statistics().Snapshot();
      for (const bool first : {true, false}) {
        if (first == (i % 2 == 0)) {
          plain = Answer(*adaptive_, chat, temperature, spec::Mode::kOff);
        } else {
          adaptive = Answer(*adaptive_, chat, temperature, spec::Mode::kAuto);
        }
      }
      const spec::StatisticsSnapshot after = adaptive_->speculators().statistics().Snapshot();
      const spec::StatisticsSnapshot fixed_before = fixed_->speculators().statistics().Snapshot();
      const Run fixed = Answer(*fixed_, chat, temperature, spec::Mode::kDFlash);
      const spec::StatisticsSnapshot fixed_after = fixed_->speculators().statistics().Snapshot();
      different += plain.tokens != adaptive.tokens ? 1 : 0;
      different += plain.tokens != fixed.tokens ? 1 : 0;
      row.chats = 1;
      row.tokens = plain.tokens.size();
      row.plain_ms = plain.decode_ms;
      row.adaptive_ms = adaptive.decode_ms;
      row.fixed_ms = fixed.decode_ms;
      row.fixed_cycles = fixed_after.observed_cycles - fixed_before.observed_cycles;
      row.fixed_accepted = fixed_after.accepted - fixed_before.accepted;
      row.adaptive_cycles = after.observed_cycles - before.observed_cycles;
      row.adaptive_accepted = after.accepted - before.accepted;
      row.adaptive_drafted = after.drafted - before.drafted;
      rows[chat.category].Add(row);
      rows["~all"].Add(row);
    }
    std::printf("\ntemperature %.1f\n", static_cast<double>(temperature));
    std::printf("%-12s %5s %7s | %9s | %9s %7s | %9s %9s %8s %8s\n", "category", "chats", "tokens",
                "fixed-16", "adaptive", "agreed", "plain t/s", "adapt t/s", "adaptive", "fixed-16");
    for (const auto& [name, r] : rows) {
      const auto tokens = static_cast<double>(r.tokens);
      std::printf("%-12s %5zu %7zu | %9.2f | %9.2f %6.0f%% | %9.0f %9.0f %8.2f %8.2f\n",
                  name == "~all" ? "all" : name.c_str(), r.chats, r.tokens,
                  PerCycle(r.fixed_accepted, r.fixed_cycles),
                  PerCycle(r.adaptive_accepted, r.adaptive_cycles),
                  100.0 * static_cast<double>(r.adaptive_accepted) /
                      static_cast<double>(std::max<size_t>(r.adaptive_drafted, 1)),
                  1e3 * tokens / r.plain_ms, 1e3 * tokens / r.adaptive_ms,
                  r.plain_ms / r.adaptive_ms, r.plain_ms / r.fixed_ms);
    }
    return different;
  }

  void PrintPositions() const {
    const spec::StatisticsSnapshot s = fixed_->speculators().statistics().Snapshot();
    std::printf("\naccepted where reached, fixed-16, slots 1 to 15:");
    for (size_t j = 1; j < spec::kMaxBlock; ++j) {
      std::printf(" %.2f", static_cast<double>(s.accepted_at[j]) /
                               static_cast<double>(std::max<uint64_t>(s.reached[j], 1)));
    }
    std::printf("\n");
  }

 private:
  Run Answer(engine::Decoder& decoder, const Chat& chat, float temperature, spec::Mode mode) const {
    engine::Request request;
    request.prompt = chat.prompt;
    request.sampling.temperature = temperature;
    request.sampling.seed = 20260101;
    request.max_tokens = most_;
    request.stop_tokens = {2, 0};
    request.speculation = mode;
    TokenSink sink;
    engine::Timings timings;
    const std::atomic<bool> cancelled{false};
    Must(decoder.Run(request, cancelled, sink, timings));
    return {std::move(sink.tokens), timings.decode_ms};
  }

  const SystemClock wall_;
  const CpuClock cpu_;
  const Clock& clock_ =
      Env("MACH_BENCH_CLOCK", "wall") == "cpu" ? static_cast<const Clock&>(cpu_) : wall_;
  std::unique_ptr<model::LoadedModel> model_;
  std::shared_ptr<const spec::DraftModel> draft_;
  std::unique_ptr<engine::Decoder> adaptive_;
  std::unique_ptr<engine::Decoder> fixed_;
  std::vector<Chat> chats_;
  size_t most_ = 0;
};

int Main() {
  Bench bench;
  std::istringstream temperatures(Env("MACH_BENCH_TEMPERATURES", "0"));
  size_t different = 0;
  bool first = true;
  for (std::string t; std::getline(temperatures, t, ',');) {
    different += bench.Measure(std::strtof(t.c_str(), nullptr));
    if (first) bench.PrintPositions();
    first = false;
  }
  std::printf("\nanswers that differ from decoding one by one: %zu\n", different);
  return different == 0 ? 0 : 1;
}

}  // namespace
}  // namespace mach

int main() { return mach::Main(); }
