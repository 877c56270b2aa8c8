// An engine over mach-tiny with a prefix cache, and conversations with it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cache/prefix_cache.h"
#include "dialog/prefix_points.h"
#include "dialog/text_codec.h"
#include "engine/local_engine.h"
#include "golden_files.h"
#include "residency/loaded_model.h"
#include "server/protocol/generation.h"
#include "spec/draft_model.h"

namespace mach::test {

inline std::shared_ptr<const dialog::Codec> TinyCodec() {
  static const SystemClock clock;
  static const std::shared_ptr<const dialog::Codec> codec = [] {
    dialog::TextCodecFiles files;
    files.tokenizer_json = ReadText("models/mach-tiny/tokenizer.json");
    files.chat_template = ReadText("models/mach-tiny/chat_template.jinja");
    files.tokenizer_config = GoldenJson("models/mach-tiny/tokenizer_config.json");
    auto made = dialog::MakeTextCodec(files, clock);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return *made;
  }();
  return codec;
}

// A directory of its own that goes with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = testing::TempDir() + "mach-prefix-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct ChatEngineOptions {
  bool cache = true;
  size_t max_entries = 256;
  size_t max_bytes = size_t{256} << 20;
  std::string disk;  // directory; empty: none
  uint64_t disk_budget = uint64_t{1} << 30;
  bool draft = true;
  size_t max_rows = 256;
  size_t threads = 2;
  std::string checkpoint = SourcePath("models/mach-tiny");
};

inline std::unique_ptr<engine::Engine> NewChatEngine(const ChatEngineOptions& options) {
  auto model =
      residency::LoadedModel::Load(io::PosixFileSystem(), {.checkpoint = options.checkpoint,
                                                           .context_tokens = 4096,
                                                           .threads = options.threads,
                                                           .max_rows = options.max_rows});
  EXPECT_TRUE(model.ok()) << model.error().message;
  engine::DecoderOptions decoder;
  decoder.policy = *spec::ParsePolicy("opencode-sampled-v1");
  if (options.draft) {
    auto draft =
        spec::DraftModel::Load(io::PosixFileSystem(), {SourcePath("models/mach-tiny-dflash"), 8},
                               (*model)->config(), (*model)->ledger());
    EXPECT_TRUE(draft.ok()) << draft.error().message;
    decoder.draft = *std::move(draft);
  }
  if (options.cache) {
    auto& prefix = decoder.prefix_cache.emplace();
    prefix.max_entries = options.max_entries;
    prefix.max_bytes = options.max_bytes;
    prefix.append_text = [codec = TinyCodec()](TokenId token, std::string& text) {
      text += codec->TokenBytes(token);
    };
    if (!options.disk.empty()) {
      prefix.disk.emplace();
      prefix.disk->directory = options.disk;
      prefix.disk->budget_bytes = options.disk_budget;
    }
  }
  auto made = engine::MakeLocalEngine(*std::move(model), {.model_id = "tiny", .decoder = decoder});
  EXPECT_TRUE(made.ok()) << made.error().message;
  return *std::move(made);
}

struct ChatAnswer {
  std::vector<TokenId> tokens;
  std::optional<Result<engine::FinishReason>> end;
  engine::Timings timings;
};

class WaitingSink final : public engine::Sink {
 public:
  void OnPrefill(size_t, size_t) override {}
  void OnToken(const engine::TokenEvent& event) override {
    const std::lock_guard lock(mu_);
    answer_.tokens.push_back(event.token);
  }
  void OnDone(Result<engine::FinishReason> result, const engine::Timings& timings) override {
    const std::lock_guard lock(mu_);
    answer_.end.emplace(std::move(result));
    answer_.timings = timings;
    done_.notify_all();
  }
  ChatAnswer Wait() {
    std::unique_lock lock(mu_);
    done_.wait(lock, [&] { return answer_.end.has_value(); });
    return answer_;
  }

 private:
  std::mutex mu_;
  std::condition_variable done_;
  ChatAnswer answer_;
};

inline ChatAnswer Ask(engine::Engine& engine, engine::Request request) {
  auto sink = std::make_shared<WaitingSink>();
  auto generation = engine.Submit(std::move(request), sink);
  EXPECT_TRUE(generation.ok()) << generation.error().message;
  ChatAnswer answer = sink->Wait();
  EXPECT_TRUE(answer.end->ok()) << answer.end->error().message;
  return answer;
}

// One side of a conversation; `says` are the user's turns.
struct Conversation {
  std::string session;
  dialog::ChatInput chat;
  std::vector<std::string> says;
  sample::Params sampling;
  size_t max_tokens = 16;
};

inline engine::Request ChatRequest(const engine::Engine& engine, const Conversation& c) {
  auto prompt = TinyCodec()->RenderChat(c.chat);
  EXPECT_TRUE(prompt.ok()) << prompt.error().message;
  engine::Request request;
  request.session = c.session;
  request.prompt = prompt->tokens;
  request.prefix_points = dialog::PrefixPointsOf(request.prompt, engine.info().stop_tokens,
                                                 server::BeginsWithSystem(c.chat));
  request.sampling = c.sampling;
  request.max_tokens = c.max_tokens;
  request.stop_tokens = engine.info().stop_tokens;
  return request;
}

// The answers of all turns; what the model says becomes part of the conversation.
inline std::vector<ChatAnswer> Converse(engine::Engine& engine, Conversation c) {
  std::vector<ChatAnswer> answers;
  for (const std::string& text : c.says) {
    c.chat.messages.push_back(json::Object{{"role", "user"}, {"content", text}});
    answers.push_back(Ask(engine, ChatRequest(engine, c)));
    c.chat.messages.push_back(json::Object{
        {"role", "assistant"}, {"content", TinyCodec()->DecodeTokens(answers.back().tokens)}});
  }
  return answers;
}

inline json::Value Tool(const std::string& name, const std::string& what) {
  return json::Object{
      {"type", "function"},
      {"function",
       json::Object{{"name", name},
                    {"description", what},
                    {"parameters",
                     json::Object{{"type", "object"},
                                  {"properties",
                                   json::Object{{"query", json::Object{{"type", "string"}}}}}}}}}};
}

// Agents with tools: some share their system part, some do not.
inline std::vector<Conversation> Agents(size_t n) {
  const std::vector<std::string> words = {"cat", "river", "engine", "music", "bread", "window"};
  std::vector<Conversation> all;
  for (size_t i = 0; i < n; ++i) {
    Conversation c;
    if (i % 3 != 0) c.session = "session-" + std::to_string(i);
    c.chat.messages.push_back(json::Object{
        {"role", "system"}, {"content", "You are agent " + std::to_string(i % 4) + ". Be brief."}});
    c.chat.tools.push_back(Tool("search", "Searches the web"));
    if (i % 2 == 0) c.chat.tools.push_back(Tool("read_file", "Reads a file"));
    const std::string& word = words[i % words.size()];
    c.says = {"Define the word " + word + ".",
              "What does ls -l do? Call number " + std::to_string(i) + ".",
              "Search for " + word + " and tell me."};
    c.sampling.temperature = i % 2 == 0 ? 0.0f : 0.9f;
    c.sampling.seed = 100 + i;
    all.push_back(std::move(c));
  }
  return all;
}

inline std::vector<std::vector<TokenId>> TokensOf(const std::vector<ChatAnswer>& answers) {
  std::vector<std::vector<TokenId>> tokens;
  for (const ChatAnswer& answer : answers) tokens.push_back(answer.tokens);
  return tokens;
}

}  // namespace mach::test
