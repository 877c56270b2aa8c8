// What speculation gains on held-out chats, by category; and whether it changed a token.
//
//   MACH_BENCH_MODEL=models/mach-tiny MACH_BENCH_DRAFT=models/mach-tiny-dflash
//   MACH_BENCH_CHATS=chats.jsonl [MACH_BENCH_COUNT=300] [MACH_BENCH_TOKENS=64]
//   [MACH_BENCH_CLOCK=wall] [MACH_BENCH_THREADS=1] [MACH_BENCH_DRAFT_BITS=8]
//   [MACH_BENCH_TEMPERATURES=0,0.7,1] [MACH_BENCH_ROUNDS=1] [MACH_BENCH_FIXED=16]
//   [MACH_BENCH_BANK=0.25 MACH_BENCH_SIDECAR=DIR] spec_bench
//
// With a bank, experts stream: MACH_BENCH_BANK is the share of them that stays in memory, the
// sidecar is `mach export-sidecar`'s; each way to decode has a bank of its own, and what it read is
// printed. Each chat is answered three times, one after the other, so that a busy machine slows all
// of them alike: one token at a time, with the adaptive policy, and with blocks of 16 (or
// MACH_BENCH_FIXED: 1 shows what a drafter costs that only looks on). The order of the first two
// alternates. Speed is that of decoding, from the first token to the last. The clock "cpu" counts
// the processor time of the program instead (use one thread), which other programs disturb less.
// More rounds over the same chats average out what a busy machine does to the categories with few
// tokens.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <sstream>
#include <string>

#include "base/topology.h"
#include "engine/decoder.h"
#include "jinja/template.h"
#include "json/parse.h"
#include "residency/headers.h"
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
      Must(jinja::Template::Parse(Must(checkpoint.ReadText("chat_template.jinja", 1u << 20))));
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
  void OnToken(const engine::TokenEvent& event) override {
    last = clock->NowNs();
    if (tokens.empty()) {
      first = last;
      if (bytes_read != nullptr) at_first = bytes_read->Get();
    }
    tokens.push_back(event.token);
  }
  void OnDone(Result<engine::FinishReason>, const engine::Timings&) override {}
  std::vector<TokenId> tokens;
  const Clock* clock = nullptr;
  int64_t first = 0, last = 0;                   // when those tokens came
  const experts::Counter* bytes_read = nullptr;  // null: nothing streams
  uint64_t at_first = 0;                         // of it, before the first token: the prompt's
};

// The three ways to decode.
enum Way : size_t { kPlain, kAdaptive, kFixed, kWays };

// What answers took one way.
struct Tally {
  double ms = 0;
  uint64_t cycles = 0, accepted = 0, drafted = 0, bytes_read = 0;

  void Add(const Tally& o) {
    ms += o.ms;
    cycles += o.cycles;
    accepted += o.accepted;
    drafted += o.drafted;
    bytes_read += o.bytes_read;
  }
  double TokensPerCycle() const {
    return cycles == 0 ? 0 : 1 + static_cast<double>(accepted) / static_cast<double>(cycles);
  }
};

struct Row {
  size_t chats = 0, tokens = 0;
  std::array<Tally, kWays> ways;

  void Add(const Row& o) {
    chats += o.chats;
    tokens += o.tokens;
    for (size_t w = 0; w < kWays; ++w) ways[w].Add(o.ways[w]);
  }
};

class Bench {
 public:
  Bench() {
    residency::LoadOptions load;
    load.checkpoint = Env("MACH_BENCH_MODEL", nullptr);
    load.context_tokens = 2048;
    load.threads = EnvNumber("MACH_BENCH_THREADS", "1");
    const double bank = std::strtod(Env("MACH_BENCH_BANK", "0").c_str(), nullptr);
    if (bank > 0) UseSidecar(load, bank);
    // A bank of its own for each way, or one would read what another has warmed.
    models_.push_back(Load(load));
    while (bank > 0 && models_.size() < kWays) models_.push_back(Load(load));
    const auto model = [&](Way way) -> residency::LoadedModel& {
      return *models_[std::min<size_t>(way, models_.size() - 1)];
    };
    const int bits = static_cast<int>(EnvNumber("MACH_BENCH_DRAFT_BITS", "8"));
    draft_ =
        Must(spec::DraftModel::Load(io::PosixFileSystem(), {Env("MACH_BENCH_DRAFT", nullptr), bits},
                                    model(kPlain).config(), model(kPlain).ledger()));
    decoders_[kPlain] = Must(engine::Decoder::Create(model(kPlain), clock_, {draft_, {}}));
    decoders_[kAdaptive] = Must(engine::Decoder::Create(model(kAdaptive), clock_, {draft_, {}}));
    decoders_[kFixed] = Must(engine::Decoder::Create(
        model(kFixed), clock_, {draft_, {.fixed = EnvNumber("MACH_BENCH_FIXED", "16")}}));
    chats_ = LoadChats(model(kPlain).checkpoint(), EnvNumber("MACH_BENCH_COUNT", "300"));
    most_ = EnvNumber("MACH_BENCH_TOKENS", "64");
    rounds_ = EnvNumber("MACH_BENCH_ROUNDS", "1");
    std::printf("%zu chats, at most %zu tokens, %zu threads, %s, drafter %s", chats_.size(), most_,
                model(kPlain).threads(), std::string(IsaName(model(kPlain).kernels().isa)).c_str(),
                bits == 0 ? "as stored" : (std::to_string(bits) + " bit").c_str());
    if (const experts::StreamingStore* store = model(kPlain).streaming()) {
      std::printf(", bank of %zu of %zu experts, %s", store->plan().bank_slots,
                  store->catalog().RecordCount(),
                  std::string(io::ReadModeName(store->read_mode())).c_str());
    }
    std::printf("\n");
  }

  // Answers that differed from decoding one by one.
  size_t Measure(float temperature) {
    size_t different = 0;
    std::map<std::string, Row> rows;
    for (size_t i = 0; i < rounds_ * chats_.size(); ++i) {
      const Chat& chat = chats_[i % chats_.size()];
      Row row{.chats = 1, .tokens = 0, .ways = {}};
      std::array<std::vector<TokenId>, kWays> answers;
      const bool even = (i + i / chats_.size()) % 2 == 0;
      const std::array<Way, kWays> order =
          even ? std::array{kPlain, kAdaptive, kFixed} : std::array{kAdaptive, kPlain, kFixed};
      for (const Way way : order) answers[way] = Answer(way, chat, temperature, row.ways[way]);
      // The prompt gives the first token.
      row.tokens = std::max<size_t>(answers[kPlain].size(), 1) - 1;
      for (const Way way : {kAdaptive, kFixed})
        different += answers[way] != answers[kPlain] ? 1 : 0;
      rows[chat.category].Add(row);
      rows["~all"].Add(row);
    }
    std::printf("\ntemperature %.1f\n", static_cast<double>(temperature));
    std::printf("%-12s %5s %7s | %9s | %9s %7s | %9s %9s %8s %8s", "category", "chats", "tokens",
                "fixed-16", "adaptive", "agreed", "plain t/s", "adapt t/s", "adaptive", "fixed-16");
    const bool streams = models_.size() > 1;
    if (streams) std::printf(" | KiB read a token: plain, adaptive, fixed-16");
    std::printf("\n");
    for (const auto& [name, r] : rows) {
      if (r.tokens == 0) continue;
      const auto tokens = static_cast<double>(r.tokens);
      const Tally& plain = r.ways[kPlain];
      const Tally& adaptive = r.ways[kAdaptive];
      const Tally& fixed = r.ways[kFixed];
      std::printf("%-12s %5zu %7zu | %9.2f | %9.2f %6.0f%% | %9.0f %9.0f %8.2f %8.2f",
                  name == "~all" ? "all" : name.c_str(), r.chats, r.tokens, fixed.TokensPerCycle(),
                  adaptive.TokensPerCycle(),
                  100.0 * static_cast<double>(adaptive.accepted) /
                      static_cast<double>(std::max<uint64_t>(adaptive.drafted, 1)),
                  1e3 * tokens / plain.ms, 1e3 * tokens / adaptive.ms, plain.ms / adaptive.ms,
                  plain.ms / fixed.ms);
      if (streams) {
        for (const Tally& way : r.ways) {
          std::printf(" %s%7.0f", &way == &plain ? "| " : "",
                      static_cast<double>(way.bytes_read) / 1024 / tokens);
        }
      }
      std::printf("\n");
    }
    return different;
  }

  void PrintPositions() const {
    const spec::StatisticsSnapshot s =
        decoders_[kFixed]->speculation_modes().statistics().Snapshot();
    std::printf("\naccepted where reached, fixed-16, slots 1 to 15:");
    for (size_t j = 1; j < spec::kMaxBlock; ++j) {
      std::printf(" %.2f", static_cast<double>(s.accepted_at[j]) /
                               static_cast<double>(std::max<uint64_t>(s.reached[j], 1)));
    }
    std::printf("\n");
  }

 private:
  static std::unique_ptr<residency::LoadedModel> Load(const residency::LoadOptions& load) {
    return Must(residency::LoadedModel::Load(io::PosixFileSystem(), load));
  }

  static void UseSidecar(residency::LoadOptions& load, double bank) {
    const std::string directory = Env("MACH_BENCH_SIDECAR", nullptr);
    const residency::Headers headers =
        Must(residency::Headers::Open(io::PosixFileSystem(), load.checkpoint));
    const experts::Catalog catalog = residency::CatalogOf(Must(residency::OpenSidecar(
        io::PosixFileSystem(), *headers.checkpoint, headers.config, directory)));
    residency::ExpertOptions& sidecar = load.experts.emplace();
    sidecar.directory = directory;
    sidecar.bank_bytes =
        static_cast<size_t>(bank * static_cast<double>(catalog.RecordCount()) + 0.5) *
        catalog.slot_bytes;
  }

  std::vector<TokenId> Answer(Way way, const Chat& chat, float temperature, Tally& tally) const {
    engine::Request request;
    request.prompt = chat.prompt;
    request.sampling.temperature = temperature;
    request.sampling.seed = 20260101;
    request.max_tokens = most_;
    request.stop_tokens = {2, 0};
    request.speculation = way == kPlain      ? spec::Mode::kOff
                          : way == kAdaptive ? spec::Mode::kAuto
                                             : spec::Mode::kDFlash;
    const engine::Decoder& decoder = *decoders_[way];
    const experts::StreamingStore* store =
        models_[std::min<size_t>(way, models_.size() - 1)]->streaming();
    const spec::StatisticsSnapshot before = decoder.speculation_modes().statistics().Snapshot();
    TokenSink sink;
    sink.clock = &clock_;
    if (store != nullptr) sink.bytes_read = &store->counters().bytes_read;
    engine::Timings timings;
    const std::atomic<bool> cancelled{false};
    Must(decoders_[way]->Run(request, cancelled, sink, timings));
    const spec::StatisticsSnapshot after = decoder.speculation_modes().statistics().Snapshot();
    tally = {
        .ms = static_cast<double>(sink.last - sink.first) * 1e-6,
        .cycles = after.observed_cycles - before.observed_cycles,
        .accepted = after.accepted - before.accepted,
        .drafted = after.drafted - before.drafted,
        .bytes_read = store == nullptr ? 0 : store->counters().bytes_read.Get() - sink.at_first};
    return std::move(sink.tokens);
  }

  const SystemClock wall_;
  const CpuClock cpu_;
  const Clock& clock_ =
      Env("MACH_BENCH_CLOCK", "wall") == "cpu" ? static_cast<const Clock&>(cpu_) : wall_;
  std::vector<std::unique_ptr<residency::LoadedModel>> models_;  // by way, or one for all
  std::shared_ptr<const spec::DraftModel> draft_;
  std::array<std::unique_ptr<engine::Decoder>, kWays> decoders_;
  std::vector<Chat> chats_;
  size_t most_ = 0;
  size_t rounds_ = 1;
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
