// Files whose steps multiply, and work that nobody waits for any more.
#include "text/work_budget.h"

#include <atomic>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/write.h"
#include "text/small_tokenizers.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace mach::text {
namespace {

using small::Added;
using small::Json;
using testing::AllOf;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;

constexpr size_t kBase = size_t{64} << 10;

// `count` steps that each make 16 of every 'a'.
json::Array Sixteens(int count) {
  return json::Array(static_cast<size_t>(count),
                     json::Object{{"type", "Replace"},
                                  {"pattern", json::Object{{"String", "a"}}},
                                  {"content", std::string(16, 'a')}});
}

json::Value Sequence(std::string_view key, json::Array steps) {
  return json::Object{{"type", "Sequence"}, {std::string(key), std::move(steps)}};
}

std::unique_ptr<Tokenizer> LoadFile(const small::File& file) {
  auto loaded = Tokenizer::FromJson(file.Text());
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

std::string LoadError(const small::File& file) {
  const auto loaded = Tokenizer::FromJson(file.Text());
  return loaded.ok() ? "loaded" : loaded.error().message;
}

// ---- what an Encode may make of its text

TEST(EncodeBudget, SegmentsShareIt) {
  small::File file = small::ByteLevel();
  file.normalizer = Sequence("normalizers", Sixteens(8));
  const auto tokenizer = LoadFile(file);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a<|end|>";
  EXPECT_LE(tokenizer->Encode(text).size(), text.size() * 17 + kBase);
}

TEST(EncodeBudget, PreTokenizersShareIt) {
  // Each step writes two bytes for one that is no printable ASCII.
  small::File file = small::ByteLevel();
  const json::Value step = Json(R"({"type":"ByteLevel","add_prefix_space":false,
                                    "use_regex":false})");
  file.pre_tokenizer = Sequence("pretokenizers", json::Array(24, step));
  const auto tokenizer = LoadFile(file);
  const std::string text(64, '\n');
  EXPECT_LE(tokenizer->Encode(text).size(), text.size() * 17 + kBase);
}

TEST(EncodeBudget, NormalFormsThatUndoEachOtherShareIt) {
  // U+0958 to U+0915 U+093C, and back: no text grows, and yet each pass writes it again.
  small::File file = small::ByteLevel();
  json::Array steps;
  for (int i = 0; i < 24; ++i) {
    steps.push_back(Json(R"({"type":"NFD"})"));
    steps.push_back(Json(R"({"type":"Replace","pattern":{"String":"\u0915\u093c"},
                             "content":"\u0958\u0958"})"));
  }
  file.normalizer = Sequence("normalizers", std::move(steps));
  const auto tokenizer = LoadFile(file);
  const std::string text = "\u0958";
  EXPECT_LE(tokenizer->Encode(text).size(), text.size() * 17 + kBase);
}

// ---- what a Decode may make of its tokens

TEST(DecodeBudget, StepsAfterFusingShareIt) {
  small::File file = small::ByteLevel();
  json::Array steps = Sixteens(5);
  steps.insert(steps.begin(), Json(R"({"type":"Fuse"})"));
  file.decoder = Sequence("decoders", std::move(steps));
  const auto tokenizer = LoadFile(file);
  const Ids ids(50, *tokenizer->Find("a"));
  const std::string whole = tokenizer->Decode(ids, false);
  EXPECT_LE(whole.size(), ids.size() * 17 + kBase);
  StreamDecoder stream(*tokenizer, false);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.Push(id);
  EXPECT_EQ(streamed + stream.Finish(), whole);
}

// ---- what loading may make of the file

TEST(LoadBudget, RefusesADecoderThatMultipliesTokens) {
  small::File file = small::ByteLevel();
  file.decoder = Sequence("decoders", Sixteens(4));
  EXPECT_THAT(LoadError(file),
              AllOf(HasSubstr("tokenizer.json: decoder: "), HasSubstr("expected at most ")));
}

TEST(LoadBudget, RefusesADecoderThatMakesTheVocabularyTooLarge) {
  // No token grows by more than one replacement; all of them together do.
  small::File file;
  for (int i = 0; i < 3000; ++i) file.vocab.push_back("a" + std::to_string(i));
  file.decoder = json::Object{{"type", "Replace"},
                              {"pattern", json::Object{{"String", "a"}}},
                              {"content", std::string(900, 'b')}};
  EXPECT_THAT(LoadError(file),
              AllOf(HasSubstr("tokenizer.json: decoder: "), HasSubstr("bytes of the vocabulary")));
}

TEST(LoadBudget, RefusesANormalizerThatMultipliesAddedTokens) {
  small::File file = small::ByteLevel();
  file.normalizer = Sequence("normalizers", Sixteens(8));
  for (int i = 0; i < 8; ++i) {
    file.added.push_back(Added("<a" + std::to_string(i) + ">", 268 + i, "normalized"));
  }
  EXPECT_THAT(LoadError(file),
              AllOf(HasSubstr("tokenizer.json: added_tokens: "), HasSubstr("normalizer")));
}

TEST(LoadBudget, RefusesLongStrings) {
  small::File token = small::ByteLevel();
  token.vocab.push_back(std::string(20'000, 'q'));
  EXPECT_THAT(LoadError(token), AllOf(HasSubstr("tokenizer.json: model: 'vocab': token 'qqq"),
                                      HasSubstr("20000 bytes")));
  small::File pattern = small::ByteLevel();
  pattern.normalizer = json::Object{{"type", "Replace"},
                                    {"pattern", json::Object{{"String", std::string(2000, 'a')}}},
                                    {"content", ""}};
  EXPECT_THAT(LoadError(pattern), HasSubstr("tokenizer.json: normalizer: 'String' has 2000 bytes"));
}

}  // namespace
}  // namespace mach::text
