// POST /v1/completions from end to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kPath = "/v1/completions";
class CompletionsTest : public ApiTest {};

TEST_F(CompletionsTest, ContinuesAText) {
  TestServer server(Saying(" there"));
  const json::Value body = Answer(server, kPath, R"({"prompt":"hi"})");
  std::string keys;
  for (const json::Member& member : body.AsObject()) keys += member.key + " ";
  EXPECT_EQ(keys, "id object created model system_fingerprint choices usage timings mach ");
  EXPECT_EQ(At(body, {"id"}).AsString().substr(0, 5), "cmpl-");
  EXPECT_EQ(Text(At(body, {"object"})), "\"text_completion\"");
  EXPECT_EQ(Text(At(body, {"choices"})),
            R"([{"index":0,"text":" there","logprobs":null,"finish_reason":"stop"}])");
  EXPECT_EQ(server.engine().last_request().prompt,
            (std::vector<TokenId>{engine::kScriptEnd, 'h', 'i'}));  // with what the tokenizer adds
  EXPECT_EQ(Text(At(body, {"usage", "prompt_tokens"})), "3");
}

TEST_F(CompletionsTest, TakesEveryFormOfPrompt) {
  TestServerOptions options;
  options.engine.script = [](const engine::Request& request) {
    return std::vector<TokenId>(request.prompt.rbegin(), request.prompt.rend() - 1);
  };
  TestServer server(std::move(options));
  const auto texts = [&](std::string_view prompt) {
    const json::Value body =
        Answer(server, kPath, R"({"n":2,"prompt":)" + std::string(prompt) + "}");
    std::vector<std::string> all;
    const json::Value choice_list = At(body, {"choices"});
    for (const json::Value& choice : choice_list.AsArray()) {
      EXPECT_EQ(At(choice, {"index"}).AsInt(), static_cast<int64_t>(all.size()));
      all.push_back(At(choice, {"text"}).AsString());
    }
    return all;
  };
  EXPECT_THAT(texts(R"("ab")"), ElementsAre("ba", "ba"));
  EXPECT_THAT(texts(R"(["ab","cd"])"), ElementsAre("ba", "ba", "dc", "dc"));
  EXPECT_THAT(texts("[120,97,98]"), ElementsAre("ba", "ba"));
  EXPECT_THAT(texts("[[120,97,98],[120,99,100]]"), ElementsAre("ba", "ba", "dc", "dc"));
}

TEST_F(CompletionsTest, StreamsTheSame) {
  TestServer server(Saying("one two"));
  const auto events = Events(server, kPath,
                             R"({"prompt":["a","b"],"stream":true,"echo":true,)"
                             R"("stream_options":{"include_usage":true}})");
  std::vector<std::string> text(2), finish(2);
  for (const json::Value& event : events) {
    EXPECT_EQ(Text(At(event, {"object"})), "\"text_completion\"");
    const json::Value choice = At(event, {"choices", "0"});
    if (choice.is_null()) continue;
    const auto index = static_cast<size_t>(At(choice, {"index"}).AsInt());
    text[index] += At(choice, {"text"}).AsString();
    const json::Value reason = At(choice, {"finish_reason"});
    if (reason.is_string()) finish[index] += reason.AsString();
  }
  EXPECT_THAT(text, ElementsAre("aone two", "bone two"));
  EXPECT_THAT(finish, ElementsAre("stop", "stop"));
  EXPECT_EQ(Text(At(events.back(), {"choices"})), "[]");
  EXPECT_EQ(Text(At(events.back(), {"usage", "completion_tokens"})), "14");
}

TEST_F(CompletionsTest, TheFirstEventOfAStreamAloneHasTheTokensOfThePrompt) {
  TestServer server(Saying("one two"));
  const auto events =
      Events(server, kPath, R"({"prompt":["a","b"],"stream":true,"return_token_ids":true})");
  std::vector<int> shown(2);
  std::vector<bool> seen(2);
  for (const json::Value& event : events) {
    const json::Value choice = At(event, {"choices", "0"});
    const auto index = static_cast<size_t>(At(choice, {"index"}).AsInt());
    const json::Value* prompt = choice.Find("prompt_token_ids");
    EXPECT_EQ(prompt == nullptr, seen[index]) << Text(event);
    if (prompt != nullptr) ++shown[index];
    seen[index] = true;
  }
  EXPECT_THAT(shown, ElementsAre(1, 1));
}

TEST_F(CompletionsTest, LegacyLogProbabilities) {
  TestServer server(Saying("é!END"));
  const json::Value body = Answer(server, kPath, R"({"prompt":"x","logprobs":1,"stop":["END"]})");
  EXPECT_EQ(Text(At(body, {"choices", "0", "text"})), "\"é!\"");
  const json::Value logprobs = At(body, {"choices", "0", "logprobs"});
  EXPECT_EQ(At(logprobs, {"tokens"}).AsArray().size(), 3u);
  EXPECT_EQ(Text(At(logprobs, {"token_logprobs"})), "[-0.25,-0.25,-0.25]");
  EXPECT_EQ(Text(At(logprobs, {"text_offset"})), "[0,1,1]");  // in characters
  EXPECT_EQ(Text(At(logprobs, {"top_logprobs", "2"})), R"({"a":-0.5,"!":-0.25})");
  std::vector<int64_t> offsets;
  for (const json::Value& event :
       Events(server, kPath, R"({"prompt":"x","logprobs":0,"stop":["END"],"stream":true})")) {
    const json::Value part = At(event, {"choices", "0", "logprobs", "text_offset"});
    if (!part.is_array()) continue;
    for (const json::Value& offset : part.AsArray()) offsets.push_back(offset.AsInt());
  }
  EXPECT_THAT(offsets, ElementsAre(0, 1, 1));
}

TEST_F(CompletionsTest, MarkersAreText) {
  const std::string text = "<think>a</think><tool_call>b</tool_call>";
  TestServer server(Saying(text));
  EXPECT_EQ(Text(At(Answer(server, kPath, R"({"prompt":"x"})"), {"choices", "0", "text"})),
            json::Write(json::Value(text)));
}

TEST_F(CompletionsTest, EndsWithTheLimitAndWithStopStrings) {
  TestServer server(Saying("one two"));
  json::Value body = Answer(server, kPath, R"({"prompt":"x","max_tokens":3})");
  EXPECT_EQ(Text(At(body, {"choices", "0", "text"})), "\"one\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"length\"");
  body = Answer(server, kPath, R"({"prompt":"x","stop":" t"})");
  EXPECT_EQ(Text(At(body, {"choices", "0", "text"})), "\"one\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "stop_reason"})), "\" t\"");
}

TEST_F(CompletionsTest, RefusesByName) {
  TestServerOptions options;
  options.engine.context_tokens = 50;
  TestServer server(std::move(options));
  const struct {
    const char* body;
    const char* code;
    const char* param;
  } cases[] = {
      {"{}", "missing_required_parameter", "prompt"},
      {R"({"prompt":5})", "invalid_type", "prompt"},
      {R"({"prompt":[]})", "invalid_value", "prompt"},
      {R"({"prompt":["a",5]})", "invalid_type", "prompt[1]"},
      {R"({"prompt":[1,-1]})", "invalid_value", "prompt[1]"},
      {R"({"prompt":[[1],[2.5]]})", "invalid_value", "prompt[1][0]"},
      {R"({"prompt":[5000]})", "invalid_value", "prompt"},
      {R"({"prompt":[[]]})", "invalid_value", "prompt"},
      {R"({"prompt":["a","b","c"],"n":6})", "invalid_value", "n"},
      {R"({"prompt":"a","suffix":"b"})", "unsupported_parameter", "suffix"},
      {R"({"prompt":"a","best_of":3})", "unsupported_parameter", "best_of"},
      {R"({"prompt":"a","echo":true,"logprobs":1})", "unsupported_parameter", "echo"},
      {R"({"prompt":"a","logprobs":21})", "invalid_value", "logprobs"},
      {R"({"prompt":"a","grammar":"x"})", "unsupported_parameter", "grammar"},
      {R"({"prompt":"12345678901234567890123456789012345678901234567890"})",
       "context_length_exceeded", "prompt"},
  };
  for (const auto& bad : cases) {
    const RawResponse response = Ask(server.port(), Post(kPath, bad.body));
    EXPECT_EQ(response.status, 400) << bad.body;
    EXPECT_EQ(response.ErrorCode(), bad.code) << bad.body << response.body;
    EXPECT_EQ(response.ErrorParam(), bad.param) << bad.body << response.body;
  }
  EXPECT_EQ(
      Ask(server.port(), Post(kPath, R"({"prompt":"a","n":2,"best_of":2,"suffix":""})")).status,
      200);
}

}  // namespace
}  // namespace mach::server
