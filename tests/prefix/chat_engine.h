// An engine over mach-tiny with a prefix cache, and conversations with it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/topology.h"
#include "dialog/prefix_points.h"
#include "dialog/text_codec.h"
#include "engine/collect.h"
#include "engine/open.h"
#include "golden_files.h"

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

inline std::shared_ptr<engine::Engine> NewChatEngine(const ChatEngineOptions& options) {
  static const SystemClock clock;
  engine::OpenOptions open;
  open.checkpoint = options.checkpoint;
  open.model_id = "tiny";
  open.context_tokens = 4096;
  open.threads = options.threads;
  open.chunk_tokens = options.max_rows;
  open.memory_bytes = *FreeMemoryBytes();
  open.draft.enabled = options.draft;
  open.draft.directory = SourcePath("models/mach-tiny-dflash");
  if (options.cache) {
    engine::PrefixOptions& prefix = open.prefix.emplace();
    prefix.max_entries = options.max_entries;
    prefix.max_bytes = options.max_bytes;
    if (!options.disk.empty()) {
      prefix.disk.emplace();
      prefix.disk->directory = options.disk;
      prefix.disk->budget_bytes = options.disk_budget;
    }
  }
  auto opened = engine::Open(io::PosixFileSystem(), open, nullptr, clock);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return opened->engine;
}

inline engine::Answer Ask(engine::Engine& engine, engine::Request request) {
  auto answer = engine::Collect(engine, std::move(request));
  EXPECT_TRUE(answer.ok()) << answer.error().message;
  return *std::move(answer);
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
                                                 dialog::BeginsWithSystem(c.chat));
  request.sampling = c.sampling;
  request.max_tokens = c.max_tokens;
  request.stop_tokens = engine.info().stop_tokens;
  return request;
}

// The answers of all turns; what the model says becomes part of the conversation.
inline std::vector<engine::Answer> Converse(engine::Engine& engine, Conversation c) {
  std::vector<engine::Answer> answers;
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

inline std::vector<std::vector<TokenId>> TokensOf(const std::vector<engine::Answer>& answers) {
  std::vector<std::vector<TokenId>> tokens;
  for (const engine::Answer& answer : answers) tokens.push_back(answer.tokens);
  return tokens;
}

}  // namespace mach::test
