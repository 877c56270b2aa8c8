#include "cli/commands/cmd_generate.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "base/random.h"
#include "base/units.h"
#include "cli/commands/load_model.h"
#include "cli/commands/recommend.h"
#include "cli/failure.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "dialog/messages.h"
#include "io/file.h"
#include "json/parse.h"
#include "json/write.h"
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

// Collects the output on the engine thread; prints it as it comes unless quiet.
class Printer final : public engine::Sink {
 public:
  Printer(std::unique_ptr<dialog::TokenDecoder> decoder, bool quiet)
      : decoder_(std::move(decoder)), quiet_(quiet) {}

  void OnPrefill(size_t, size_t) override {}
  void OnToken(const engine::TokenEvent& event) override {
    tokens_.push_back(event.token);
    decoder_->Push(event.token, pieces_);
    Print();
  }
  void OnDone(Result<engine::FinishReason> result, const engine::Timings& timings) override {
    decoder_->Finish(pieces_);
    Print();
    std::lock_guard lock(mu_);
    result_.emplace(std::move(result));
    timings_ = timings;
    done_.notify_all();
  }

  // Returns when the request has ended, cancelling it on an interrupt and when nobody reads it.
  void Wait(engine::Generation& generation, const InterruptFlag& interrupted) {
    std::unique_lock lock(mu_);
    while (
        !done_.wait_for(lock, std::chrono::milliseconds(50), [&] { return result_.has_value(); })) {
      if (interrupted.raised() || output_failed_.load()) generation.Cancel();
    }
  }

  // After Wait.
  const Result<engine::FinishReason>& result() const { return *result_; }
  const engine::Timings& timings() const { return timings_; }
  const std::string& text() const { return text_; }
  const std::vector<TokenId>& tokens() const { return tokens_; }
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
  std::vector<TokenId> tokens_;
  std::string text_;
  std::atomic<bool> output_failed_{false};
  std::mutex mu_;
  std::condition_variable done_;
  std::optional<Result<engine::FinishReason>> result_;  // guarded by mu_
  engine::Timings timings_;                             // guarded by mu_
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

void PrintJson(const Printer& out, uint64_t seed) {
  json::Array tokens;
  for (const TokenId t : out.tokens()) tokens.push_back(json::Value(t));
  const engine::Timings& t = out.timings();
  const json::Value value = json::Object{
      {"text", out.text()},
      {"tokens", std::move(tokens)},
      {"finish_reason", ReasonName(*out.result())},
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
  auto model = [&] {
    Progress progress("loading", ProgressLines::kLog);
    return LoadServingModel(
        {.model = options.model, .draft = options.draft, .max_queue = 1},
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
  auto printer = std::make_shared<Printer>(model->codec->NewDecoder(), options.json);
  auto generation = model->engine->Submit(std::move(request), printer);
  if (!generation) return Fail("generate", generation.error().message);
  printer->Wait(**generation, interrupted);
  if (printer->output_failed() || (!options.json && !WriteOutput("\n"))) return kExitOutput;
  if (!printer->result()) return Fail("generate", printer->result().error().message);
  if (options.json) {
    PrintJson(*printer, seed);
  } else {
    const engine::Timings& t = printer->timings();
    std::fprintf(stderr, "[%s; prompt %zu tokens, %.1f/s; output %zu tokens, %.1f/s]\n",
                 std::string(ReasonName(*printer->result())).c_str(), t.prompt_tokens,
                 PerSecond(t.prompt_tokens, t.prefill_ms), t.output_tokens,
                 PerSecond(t.output_tokens, t.decode_ms));
  }
  return *printer->result() == engine::FinishReason::kCancelled ? kExitFailure : kExitOk;
}

}  // namespace mach::cli
