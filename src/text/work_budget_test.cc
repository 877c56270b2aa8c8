// Files whose steps multiply, and work that nobody waits for any more.
#include "text/work_budget.h"

#include <atomic>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/write.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
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

// ---- the search for added tokens

TEST(SearchBudget, TokensThatAlmostMatchEverywhere) {
  small::File file = small::ByteLevel();
  file.added.push_back(Added(std::string(1000, 'a') + "b", 268));
  const auto tokenizer = LoadFile(file);
  const std::string text = std::string(20'000, 'a') + "<|end|>";
  WorkBudget budget(text.size());
  const Ids ids = tokenizer->Encode(text, {}, budget);
  EXPECT_TRUE(budget.spent());
  EXPECT_EQ(ids.back(), *tokenizer->Find(">"));  // not found any more
  EXPECT_EQ(tokenizer->Decode(ids, false), text);
}

TEST(SearchBudget, TemplatesThatAlmostSpellTokensGuardAll) {
  small::File file = small::ByteLevel();
  file.added.push_back(Added(std::string(1000, 'a') + "b", 268));
  const auto tokenizer = LoadFile(file);
  tokenizer->MarkStructural(std::string(20'000, 'a'));
  const std::string text = "<think>";
  const Span all[] = {{0, text.size()}};
  EXPECT_NE(tokenizer->Encode(text, {.plain = all}).front(), *tokenizer->Find("<think>"));
}

TEST(SearchBudget, OrdinaryTextsAreFarFromIt) {
  const auto tokenizer = LoadFile(small::ByteLevel());
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "<|start|>the <thing>  <think>";
  WorkBudget budget(text.size());
  const size_t all = budget.search_left();
  tokenizer->Encode(text, {}, budget);
  EXPECT_LE((all - budget.search_left()) * 16, all);
  EXPECT_FALSE(budget.spent());
}

// A pattern whose cost on a text is its square, though no one place where it may begin costs much.
TEST(TimeBudget, APatternThatDoesNotSuitATextIsGivenUp) {
  small::File file = small::ByteLevel();
  file.pre_tokenizer = Json(R"({"type":"Split","pattern":{"Regex":"[a-z]+[0-9]"},
                                "behavior":"Isolated","invert":false})");
  const auto tokenizer = LoadFile(file);
  const std::string text(4 << 20, 'a');
  WorkBudget budget(text.size());
  budget.LimitTime(0.05);
  EXPECT_EQ(tokenizer->Encode(text, {}, budget), Ids());
  EXPECT_TRUE(budget.late() && budget.cancelled() && budget.spent());
  // The time is for each call, and far more than one takes.
  WorkBudget another(3);
  another.LimitTime();
  EXPECT_FALSE(tokenizer->Encode("the", {}, another).empty());
  EXPECT_FALSE(another.late());
}

TEST(TimeBudget, WhatIsLateHasLeftSomethingOut) {
  WorkBudget budget(1);
  budget.LimitTime(-1);
  EXPECT_FALSE(budget.spent());
  EXPECT_TRUE(budget.Look());
  EXPECT_TRUE(budget.spent());  // by which loads refuse a file
  EXPECT_FALSE(budget.MayMatch());
}

// ---- cancelling: what a step does after a look at the flag is counted

class Cancelling : public testing::Test {
 protected:
  // More than a look's distance, and the string or search under way.
  void ExpectStopped(size_t under_way = 1024) const {
    EXPECT_TRUE(budget_.cancelled());
    EXPECT_LE(budget_.work(), WorkBudget::kInterval + under_way);
  }
  void Normalize(std::string_view normalizer, std::string_view unit) {
    const auto parsed = Normalizer::FromJson(Json(normalizer));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    NormalizedText text;
    text.text = Repeated(unit);
    parsed->Apply(text, budget_);
    ExpectStopped();
  }
  void Cut(std::string_view pre_tokenizer, std::string_view unit, size_t under_way = 1024) {
    const auto parsed = PreTokenizer::FromJson(Json(pre_tokenizer));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    const std::string text = Repeated(unit);
    Pieces pieces;
    pieces.text = text;
    pieces.list = {{0, text.size()}};
    parsed->Apply(pieces, budget_);
    ExpectStopped(under_way);
  }
  static std::string Repeated(std::string_view unit) {
    std::string out;
    while (out.size() < kBytes) out += unit;
    return out;
  }

  static constexpr size_t kBytes = 1 << 20;
  const std::atomic<bool> flag_ = true;
  WorkBudget budget_{kBytes, &flag_};
};

TEST_F(Cancelling, Replace) {
  Normalize(R"({"type":"Replace","pattern":{"String":"a"},"content":"b"})", "a");
}
TEST_F(Cancelling, ReplaceByPattern) {
  Normalize(R"({"type":"Replace","pattern":{"Regex":"a"},"content":"b"})", "a");
}
TEST_F(Cancelling, NormalForms) { Normalize(R"({"type":"NFKC"})", "a\uFB01"); }
TEST_F(Cancelling, NormalFormsOfAscii) { Normalize(R"({"type":"NFC"})", "a"); }
TEST_F(Cancelling, Lowercase) { Normalize(R"({"type":"Lowercase"})", "A"); }
TEST_F(Cancelling, StripAccents) { Normalize(R"({"type":"StripAccents"})", "e\u0301"); }

TEST_F(Cancelling, Split) {
  Cut(R"({"type":"Split","pattern":{"Regex":"\\w"},"behavior":"Isolated"})", "a ");
}
TEST_F(Cancelling, PatternsThatReadAllOfTheTextAtEachPlace) {
  Cut(R"({"type":"Split","pattern":{"Regex":"[a-z]+[0-9]"},"behavior":"Isolated"})", "a");
}
TEST_F(Cancelling, Punctuation) { Cut(R"({"type":"Punctuation"})", "a."); }
TEST_F(Cancelling, Bytes) {
  Cut(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","use_regex":false},
          {"type":"ByteLevel","use_regex":false}]})",
      "a", kBytes);
}

TEST_F(Cancelling, AddedTokens) {
  const auto vocabulary = Vocabulary::FromJson(json::Object());
  const auto added = AddedTokens::FromJson(json::Array{Added("<x>", 0)}, *vocabulary, Normalizer());
  ASSERT_TRUE(added.ok());
  const std::string text = Repeated("a<x>");
  std::vector<Segment> segments;
  added->CutRaw(text, "", segments, budget_);
  ExpectStopped();
}

TEST_F(Cancelling, MergingOnePieceThatIsTheWholeText) {
  json::Object model{{"type", "BPE"}, {"vocab", Json(R"({"a":0,"aa":1,"aaaa":2})")}};
  model.Set("merges", Json(R"(["a a","aa aa"])"));
  const auto bpe = Bpe::FromJson(model);
  ASSERT_TRUE(bpe.ok()) << bpe.error().message;
  const std::string text = Repeated("a");
  Ids ids;
  bpe->Encode(text, ids, budget_);
  ExpectStopped(kBytes);
  EXPECT_TRUE(ids.empty());
  // Merging itself counts: each of its symbols, and each of its merges.
  WorkBudget whole(kBytes);
  bpe->Encode(text, ids, whole);
  EXPECT_EQ(ids, Ids(kBytes / 4, 2));
  EXPECT_GE(whole.work(), kBytes * 5 / 2);
}

TEST_F(Cancelling, CallsGiveNothing) {
  const auto tokenizer = LoadFile(small::ByteLevel());
  EXPECT_EQ(tokenizer->Encode("the thing", {}, budget_), Ids());
  EXPECT_EQ(tokenizer->Decode(Ids{0, 1, 2}, false, &flag_), "");
  const std::atomic<bool> waiting = false;
  WorkBudget unhurried(3, &waiting);
  EXPECT_EQ(tokenizer->Encode("the", {}, unhurried), tokenizer->Encode("the"));
  EXPECT_EQ(tokenizer->Decode(Ids{64, 65}, false, &waiting), tokenizer->Decode(Ids{64, 65}, false));
}

TEST(WorkBudget, LooksAtTheFlagAtBoundedIntervals) {
  std::atomic<bool> flag = false;
  WorkBudget budget(0, &flag);
  for (int i = 0; i < 100'000; ++i) ASSERT_FALSE(budget.Cancelled(1));
  flag = true;
  size_t more = 0;
  while (!budget.Cancelled(1)) ++more;
  EXPECT_LT(more, WorkBudget::kInterval);
  flag = false;
  EXPECT_TRUE(budget.Cancelled(1));  // for good
}

}  // namespace
}  // namespace mach::text
