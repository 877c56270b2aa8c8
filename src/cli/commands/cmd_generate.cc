#include "cli/commands/cmd_generate.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/random.h"
#include "base/units.h"
#include "cli/commands/open_options.h"
#include "cli/commands/recommend.h"
#include "cli/exit_codes.h"
#include "cli/failure.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "dialog/messages.h"
#include "engine/collect.h"
#include "engine/open.h"
#include "io/file.h"
#include "json/parse.h"
#include "json/write.h"
#include "sample/params.h"
#include "server/protocol/chat_prompt.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxMessagesBytes = size_t{32} << 20;

int FailToLoad(const GenerateOptions& options, const Error& error) {
  std::string advice = AdviceWhenTooLarge(options.model, options.draft, error);
  if (!advice.empty()) advice.pop_back();  // its last line's end, which Fail writes
  return Fail("generate", error.message + (advice.empty() ? "" : "\n" + advice));
}

// A file, or standard input for "-".
Result<std::string> ReadMessages(const std::string& path) {
  if (path != "-") return io::ReadSmallFile(io::PosixFileSystem(), path, kMaxMessagesBytes);
  std::string text;
  char buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), stdin)) {
    text.append(buffer, n);
    if (text.size() > kMaxMessagesBytes) {
      return Error{Code::kInvalidArgument,
                   "standard input has more than " + BytesText(kMaxMessagesBytes)};
    }
  }
  return text;
}

// The conversation: a messages file, or the prompt as a user's message, with a system text before
// it.
Result<dialog::ChatInput> ReadChat(const GenerateOptions& options) {
  json::Value messages = json::Array();
  json::Value tools;
  if (!options.messages_file.empty()) {
    MACH_TRY(const std::string text, ReadMessages(options.messages_file));
    auto parsed = json::Parse(text);
    if (!parsed) return std::move(parsed).error().In(options.messages_file);
    const json::Value* found = parsed->Find("messages");
    if (found == nullptr) {
      return Error{Code::kInvalidArgument,
                   options.messages_file +
                       ": expected an object with \"messages\" and optionally \"tools\""};
    }
    messages = *found;
    if (const json::Value* t = parsed->Find("tools")) tools = *t;
  }
  if (messages.is_array()) {
    if (options.system) {
      auto& list = messages.AsArray();
      list.insert(list.begin(), json::Object{{"role", "system"}, {"content", *options.system}});
    }
    if (options.prompt) {
      messages.AsArray().push_back(json::Object{{"role", "user"}, {"content", *options.prompt}});
    }
  }
  const dialog::MessageLimits limits;
  const auto invalid = [](const dialog::FieldError& error) {
    return Error{Code::kInvalidArgument, error.param + ": " + error.message};
  };
  dialog::ChatInput chat;
  auto normal = dialog::NormalizeMessages(messages, limits);
  if (!normal) return invalid(normal.error());
  chat.messages = *std::move(normal);
  if (!tools.is_null()) {
    auto normal_tools = dialog::NormalizeTools(tools, limits);
    if (!normal_tools) return invalid(normal_tools.error());
    chat.tools = *std::move(normal_tools);
  }
  return chat;
}

sample::Params Sampling(const GenerateOptions& o, sample::Params p) {
  if (o.temperature) p.temperature = static_cast<float>(*o.temperature);
  if (o.top_k) p.top_k = static_cast<int32_t>(std::clamp<int64_t>(*o.top_k, 0, INT32_MAX));
  if (o.top_p) p.top_p = static_cast<float>(*o.top_p);
  if (o.min_p) p.min_p = static_cast<float>(*o.min_p);
  if (o.repetition_penalty) p.repetition_penalty = static_cast<float>(*o.repetition_penalty);
  p.presence_penalty = static_cast<float>(o.presence_penalty);
  p.frequency_penalty = static_cast<float>(o.frequency_penalty);
  p.seed = o.seed ? *o.seed : RandomSeed();
  return p;
}

// The text of the output, printed as it comes unless quiet. On the engine's thread until the answer
// has ended; output_failed is for any.
class Printer {
 public:
  Printer(std::unique_ptr<dialog::TokenDecoder> decoder, bool quiet)
      : decoder_(std::move(decoder)), quiet_(quiet) {}

  void OnToken(TokenId token) {
    decoder_->Push(token, pieces_);
    Print();
  }
  void Finish() {
    decoder_->Finish(pieces_);
    Print();
  }

  const std::string& text() const { return text_; }
  bool output_failed() const { return output_failed_.load(); }

 private:
  void Print() {
    std::string text;
    for (const dialog::OutputPiece& piece : pieces_) text += piece.text;
    pieces_.clear();
    text_ += text;
    if (!quiet_ && !text.empty() && !WriteOutput(text)) output_failed_.store(true);
  }

  const std::unique_ptr<dialog::TokenDecoder> decoder_;
  const bool quiet_;
  std::vector<dialog::OutputPiece> pieces_;
  std::string text_;
  std::atomic<bool> output_failed_{false};
};

std::string_view ReasonName(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

double PerSecond(size_t tokens, double ms) {
  return ms > 0 ? static_cast<double>(tokens) * 1000 / ms : 0.0;
}

void PrintJson(const engine::Answer& answer, const std::string& text, uint64_t seed) {
  json::Array tokens;
  for (const TokenId t : answer.tokens) tokens.push_back(json::Value(t));
  const engine::Timings& t = answer.timings;
  const json::Value value = json::Object{
      {"text", text},
      {"tokens", std::move(tokens)},
      {"finish_reason", ReasonName(answer.reason)},
      {"seed", seed},
      {"timings", json::Object{{"prompt_n", uint64_t{t.prompt_tokens}},
                               {"prompt_ms", t.prefill_ms},
                               {"prompt_per_second", PerSecond(t.prompt_tokens, t.prefill_ms)},
                               {"predicted_n", uint64_t{t.output_tokens}},
                               {"predicted_ms", t.decode_ms},
                               {"predicted_per_second", PerSecond(t.output_tokens, t.decode_ms)}}}};
  std::printf("%s\n", json::Write(value).c_str());
}

}  // namespace

int RunGenerate(const GenerateOptions& options) {
  if (!options.prompt && options.messages_file.empty()) {
    std::fputs("mach generate: there is nothing to answer; give --prompt TEXT or --messages FILE\n",
               stderr);
    return kExitUsage;
  }
  const InterruptFlag interrupted;
  std::optional<dialog::ChatInput> chat;
  if (!options.raw) {
    auto read = ReadChat(options);
    if (!read) return Fail("generate", read.error().message);
    chat = *std::move(read);
  }

  const SystemClock clock;
  const auto open = OpenOptionsFrom(options.model, options.draft, nullptr, /*max_queue=*/1);
  if (!open) return FailToLoad(options, open.error());
  auto model = [&] {
    Progress progress("loading", ProgressLines::kLog);
    return engine::Open(
        io::PosixFileSystem(), *open,
        [&](uint64_t done, uint64_t total) {
          progress.Update(done, total);
          return !interrupted.raised();
        },
        clock);
  }();
  if (!model) return FailToLoad(options, model.error());

  engine::Request request;
  if (chat) {
    auto prompt = server::RenderPrompt(*model->codec, *chat, "");
    if (const auto* error = std::get_if<server::ApiError>(&prompt)) {
      return Fail("generate", error->message);
    }
    request.prompt = std::move(std::get<dialog::Prompt>(prompt).tokens);
  } else {
    auto tokens = model->codec->EncodeText(options.prompt.value_or(""));
    if (!tokens) return Fail("generate", tokens.error().message);
    request.prompt = *std::move(tokens);
  }
  const engine::Info& info = model->engine->info();
  request.sampling = Sampling(options, info.default_sampling);
  request.max_tokens = options.max_tokens.value_or(info.context_tokens);
  request.stop_tokens = info.stop_tokens;

  const uint64_t seed = request.sampling.seed;
  Printer printer(model->codec->NewDecoder(), options.json);
  const auto answer = engine::Collect(
      *model->engine, std::move(request),
      {.on_token = [&](const engine::TokenEvent& event) { printer.OnToken(event.token); },
       .cancelled = [&] { return interrupted.raised() || printer.output_failed(); }});
  printer.Finish();
  const bool answered = answer.ok() || !printer.text().empty();
  if (printer.output_failed() || (!options.json && answered && !WriteOutput("\n"))) {
    return kExitOutput;
  }
  if (!answer) return Fail("generate", answer.error().message);
  if (options.json) {
    PrintJson(*answer, printer.text(), seed);
  } else {
    const engine::Timings& t = answer->timings;
    std::fprintf(stderr, "[%s; prompt %zu tokens, %.1f/s; output %zu tokens, %.1f/s]\n",
                 std::string(ReasonName(answer->reason)).c_str(), t.prompt_tokens,
                 PerSecond(t.prompt_tokens, t.prefill_ms), t.output_tokens,
                 PerSecond(t.output_tokens, t.decode_ms));
  }
  return answer->reason == engine::FinishReason::kCancelled ? kExitFailure : kExitOk;
}

}  // namespace mach::cli
