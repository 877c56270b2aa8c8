// Numbers and names of a tokenizer.json outside their ranges.
#include "text/component.h"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/write.h"
#include "text/small_tokenizers.h"
#include "text/tokenizer.h"

namespace mach::text {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// What loading says of a small file with this member, which is well-formed JSON.
std::string ErrorWith(std::string_view key, const std::string& value) {
  json::Value file = small::Json(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  file.AsObject().Set(key, small::Json(value));
  const auto loaded = Tokenizer::FromJson(json::Write(file));
  return loaded.ok() ? "loaded" : loaded.error().message;
}

constexpr std::string_view kNoIds[] = {
    "-1",    "4194304", "4294967296", "1e30", "1.5", "1.0",
    "\"0\"", "true",    "null",       "[]",   "{}",  "123456789012345678901234567890"};

TEST(FileNumbers, IdsOfTheVocabulary) {
  for (const std::string_view id : kNoIds) {
    EXPECT_THAT(
        ErrorWith("model", R"({"type":"BPE","merges":[],"vocab":{"a":)" + std::string(id) + "}}"),
        StartsWith("tokenizer.json: model: 'vocab': id of 'a' is "))
        << id;
  }
  EXPECT_EQ(ErrorWith("model", R"({"type":"BPE","merges":[],"vocab":{"a":4194303}})"), "loaded");
}

TEST(FileNumbers, IdsOfAddedTokens) {
  for (const std::string_view id : kNoIds) {
    EXPECT_THAT(ErrorWith("added_tokens", R"([{"content":"x","id":)" + std::string(id) + "}]"),
                StartsWith("tokenizer.json: added_tokens[0]: id of the token is "))
        << id;
  }
}

TEST(FileNumbers, AddedTokensBeyondTheLargestId) {
  const auto loaded = Tokenizer::FromJson(
      R"({"model":{"type":"BPE","merges":[],"vocab":{"a":4194303}},
          "added_tokens":[{"content":"a","id":4194303},{"content":"x","id":5}]})");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().message,
            "tokenizer.json: added_tokens[1]: token 'x' would have id 4194304, expected at most "
            "4194303");
}

TEST(FileNumbers, IdsOfPostProcessors) {
  for (const std::string_view id : kNoIds) {
    const std::string text(id);
    EXPECT_THAT(ErrorWith("post_processor",
                          R"({"type":"BertProcessing","cls":["a",)" + text + R"(],"sep":["b",1]})"),
                StartsWith("tokenizer.json: post_processor: id of 'cls' is "))
        << id;
    EXPECT_THAT(ErrorWith("post_processor",
                          R"({"type":"TemplateProcessing","pair":[],
                              "single":[{"SpecialToken":{"id":"a"}},{"Sequence":{"id":"A"}}],
                              "special_tokens":{"a":{"ids":[)" +
                              text + "]}}}"),
                StartsWith("tokenizer.json: post_processor: id of 'a' is "))
        << id;
  }
}

TEST(FileNumbers, LengthsOfStrip) {
  for (const std::string_view n : {"-1", "2147483648", "9223372036854775807", "1e30", "1.5",
                                   "\"1\"", "true", "null", "123456789012345678901234567890"}) {
    const std::string text(n);
    EXPECT_THAT(
        ErrorWith("decoder", R"({"type":"Strip","content":" ","stop":0,"start":)" + text + "}"),
        StartsWith("tokenizer.json: decoder: Strip: 'start' is "))
        << n;
    EXPECT_THAT(
        ErrorWith("decoder", R"({"type":"Strip","content":" ","start":0,"stop":)" + text + "}"),
        StartsWith("tokenizer.json: decoder: Strip: 'stop' is "))
        << n;
  }
  EXPECT_EQ(ErrorWith("decoder", R"({"type":"Strip","content":" ","start":2147483647,"stop":0})"),
            "loaded");
}

TEST(FileNumbers, DropoutIsNoneOrZero) {
  for (const std::string_view n : {"0.1", "-1", "1e30", "\"0\"", "true"}) {
    EXPECT_THAT(ErrorWith("model", R"({"type":"BPE","vocab":{},"merges":[],"dropout":)" +
                                       std::string(n) + "}"),
                testing::AllOf(StartsWith("tokenizer.json: model: "), HasSubstr("'dropout'")))
        << n;
  }
  EXPECT_EQ(ErrorWith("model", R"({"type":"BPE","vocab":{},"merges":[],"dropout":0.0})"), "loaded");
}

TEST(FileNumbers, SchemesOfMetaspaceDecoders) {
  EXPECT_THAT(
      ErrorWith("decoder", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"odd"})"),
      StartsWith("tokenizer.json: decoder: Metaspace: 'prepend_scheme' is 'odd', expected always"));
}

}  // namespace
}  // namespace mach::text
