// Requests and messages without a server.
#include <gtest/gtest.h>

#include "json/parse.h"
#include "json/write.h"
#include "server/chat_request.h"
#include "server/messages.h"
#include "server/router.h"
#include "server/security.h"

namespace mach::server {
namespace {

std::string Normalized(std::string_view messages) {
  const auto result = NormalizeMessages(*json::Parse(messages), {});
  if (const auto* error = std::get_if<ApiError>(&result)) return "error " + error->param;
  return json::Write(std::get<json::Array>(result));
}

TEST(NormalizeMessages, GivesTemplatesWhatTheyExpect) {
  const std::pair<const char*, const char*> cases[] = {
      // System and developer messages become one, in front.
      {R"([{"role":"user","content":"a"},{"role":"developer","content":"b"},)"
       R"({"role":"system","content":[{"type":"text","text":"c"}]}])",
       R"([{"role":"system","content":"b\n\nc"},{"role":"user","content":"a"}])"},
      // A line that is new in every request goes, at the very front and from system messages alone.
      {R"([{"role":"system","content":[{"type":"text","text":"x-anthropic-billing-header: )"
       R"(cc_version=2.1.36; cch=a1b2c;"},{"type":"text","text":"b"}]},)"
       R"({"role":"user","content":"x-anthropic-billing-header: c"}])",
       R"([{"role":"system","content":"b"},)"
       R"({"role":"user","content":"x-anthropic-billing-header: c"}])"},
      {R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},{"role":"user"}])",
       R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},)"
       R"({"role":"user","content":""}])"},
      // Parts are joined; unknown keys go.
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},)"
       R"("c"],"x":1,"name":"n"}])",
       R"([{"role":"user","content":"a\nb\nc","name":"n"}])"},
      // Content may be null or missing.
      {R"([{"role":"assistant","content":null},{"role":"user"}])",
       R"([{"role":"assistant","content":""},{"role":"user","content":""}])"},
      {R"([{"role":"assistant","refusal":"no"}])", R"([{"role":"assistant","content":"no"}])"},
      // Arguments become objects, whatever they were.
      {R"([{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":)"
       R"({"name":"f","arguments":"{\"a\": 1}"}},{"function":{"name":"g","arguments":""}},)"
       R"({"name":"h","arguments":{"b":2}}]}])",
       R"([{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function",)"
       R"("function":{"name":"f","arguments":{"a":1}}},{"type":"function","function":)"
       R"({"name":"g","arguments":{}}},{"type":"function","function":{"name":"h","arguments":)"
       R"({"b":2}}}]}])"},
      // The older spelling of calls and their results.
      {R"([{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},)"
       R"({"role":"function","name":"f","content":"r"}])",
       R"([{"role":"assistant","content":"","tool_calls":[{"type":"function","function":)"
       R"({"name":"f","arguments":{}}}]},{"role":"tool","content":"r","name":"f"}])"},
      // Reasoning, in each of its spellings.
      {R"([{"role":"assistant","content":"a","reasoning":"r"},{"role":"user","content":"u",)"
       R"("reasoning":"x"}])",
       R"([{"role":"assistant","content":"a","reasoning_content":"r"},)"
       R"({"role":"user","content":"u"}])"},
      {R"([{"role":"assistant","reasoning_details":[{"text":"p"},{"text":"q"},{"n":1}]}])",
       R"([{"role":"assistant","content":"","reasoning_content":"pq"}])"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])",
       "error messages[0].tool_calls[0].function.name"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[]}}]}])",
       "error messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"user","content":[{"text":"a"}]}])", "error messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "error messages[0].content[0].text"},
  };
  for (const auto& [given, expected] : cases) EXPECT_EQ(Normalized(given), expected) << given;
}

TEST(NormalizeMessages, HasALimit) {
  json::Array messages;
  for (int i = 0; i < 4; ++i) {
    messages.push_back(json::Object{{"role", "user"}, {"content", "x"}});
  }
  Limits limits;
  limits.messages = 3;
  EXPECT_TRUE(std::holds_alternative<ApiError>(NormalizeMessages(messages, limits)));
  limits.messages = 4;
  EXPECT_TRUE(std::holds_alternative<json::Array>(NormalizeMessages(messages, limits)));
}

TEST(RepairArguments, CompletesWhatWasCutOff) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a": "b)", R"({"a":"b"})"},
      {R"({"a": ["x", {"y": 1)", R"({"a":["x",{"y":1}]})"},
      {R"({"a": "q\"r)", R"({"a":"q\"r"})"},
      {"  ", "{}"},
      {R"({"a": tr)", R"({"raw_arguments":"{\"a\": tr"})"},
      {"[1]", R"({"raw_arguments":"[1]"})"},
      {"]]}}", R"({"raw_arguments":"]]}}"})"},
  };
  for (const auto& [given, expected] : cases) {
    EXPECT_EQ(json::Write(RepairArguments(given)), expected) << given;
  }
}

TEST(NormalizeTools, NestsFlatOnesAndKeepsTheirOrder) {
  const auto result = NormalizeTools(
      *json::Parse(R"([{"type":"function","name":"f","strict":true,"parameters":{"z":1,"a":2}},)"
                   R"({"type":"function","function":{"parameters":null,"name":"g"}}])"),
      {});
  ASSERT_TRUE(std::holds_alternative<json::Array>(result));
  EXPECT_EQ(json::Write(std::get<json::Array>(result)),
            R"([{"type":"function","function":{"name":"f","strict":true,"parameters":{"z":1,)"
            R"("a":2}}},{"type":"function","function":{"parameters":null,"name":"g"}}])");
}

TEST(ChatRequest, EveryFieldIsNamedOnceAndExplained) {
  std::string names = " ";
  for (const Field& field : ChatFields()) {
    EXPECT_EQ(names.find(" " + std::string(field.name) + " "), std::string::npos) << field.name;
    names += std::string(field.name) + " ";
    EXPECT_FALSE(field.help.empty()) << field.name;
    EXPECT_EQ(field.handling == Handling::kHonoured, field.read != nullptr) << field.name;
  }
}

TEST(ChatRequest, OfAliasesTheNewerNameWins) {
  const auto parsed = ParseChatRequest(
      R"({"repeat_penalty":2,"repetition_penalty":3,"max_tokens":1,"max_completion_tokens":2,)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  const auto& request = std::get<GenerationRequest>(parsed);
  EXPECT_EQ(*request.sampling.repetition_penalty, 3.0);
  EXPECT_EQ(*request.max_tokens, 2u);
}

TEST(ChatRequest, NeutralValuesOfUnsupportedParametersAreAccepted) {
  const auto parsed = ParseChatRequest(
      R"({"functions":[],"echo":false,"guided_json":{},"grammar":"","prompt_logprobs":0,)"
      R"("min_tokens":0,"response_format":{"type":"text"},"tool_choice":"auto","tools":[],)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  ASSERT_TRUE(std::holds_alternative<GenerationRequest>(parsed));
  EXPECT_TRUE(std::get<GenerationRequest>(parsed).ignored.empty());
}

TEST(ChatRequest, AllowedToolsAreASubset) {
  const auto parsed = ParseChatRequest(
      R"({"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":)"
      R"({"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto",)"
      R"("tools":[{"type":"function","function":{"name":"b"}}]}},)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  const auto& request = std::get<GenerationRequest>(parsed);
  EXPECT_EQ(json::Write(request.chat.tools), R"([{"type":"function","function":{"name":"b"}}])");
  EXPECT_TRUE(request.parse_tools);
}

TEST(Router, FindsRoutes) {
  Router router;
  const auto add = [&](std::string method, std::string pattern) {
    Route route;
    route.method = std::move(method);
    route.pattern = std::move(pattern);
    router.Add(std::move(route));
  };
  add("GET", "/v1/things");
  add("POST", "/v1/things");
  add("GET", "/v1/things/{id}");
  add("GET", "/health");
  EXPECT_EQ(router.Find("GET", "/things/").route->pattern, "/v1/things");
  EXPECT_EQ(router.Find("HEAD", "/v1/things").route->method, "GET");
  EXPECT_EQ(router.Find("POST", "/things").route->method, "POST");
  EXPECT_EQ(router.Find("GET", "/things/a/b%20c").tail, "a/b c");
  EXPECT_EQ(router.Find("GET", "/v1/health").route->pattern, "/health");
  EXPECT_EQ(router.Find("DELETE", "/things").allow, "GET, HEAD, POST, OPTIONS");
  for (const char* path : {"/", "/v1", "/v1/", "/thing", "/v1/v1/things", "/health/x", ""}) {
    EXPECT_TRUE(router.Find("GET", path).allow.empty()) << path;
  }
}

TEST(Http, SplitsTargetsAndDecodes) {
  const auto absolute = ParseTarget("HTTP://h:1?a=b");
  ASSERT_TRUE(absolute.has_value());
  EXPECT_EQ(absolute->authority + " " + absolute->path + " " + absolute->query, "h:1 / a=b");
  EXPECT_EQ(ParseTarget("*")->path, "*");
  for (const char* target : {"", "relative", "?a", "http://", "http:///x", "https://u@h/x",
                             "http://h:x/", "http://[::1]h/", "h:1"}) {
    EXPECT_FALSE(ParseTarget(target).has_value()) << target;
  }
  EXPECT_EQ(PercentDecode("a%2Fb%zz%4"), "a/b%zz%4");
  EXPECT_EQ(HeaderSafe("a\r\nb\x80"), "ab");
}

TEST(Security, KnowsLoopbackAndPatterns) {
  for (const char* host :
       {"localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:1", "[::1]:5", "::1", "x.localhost"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"", "localhost.example", "127.0.0.1.example", "128.0.0.1", "[::2]",
                           "127.0.0", ".localhost.x", "[::1].evil.example", "[::1]x", "[::1",
                           "localhost:evil.example", "localhost:80:80", "u@localhost", "::1x"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
  SecurityOptions options;
  options.bind_host = "0.0.0.0";
  options.extra_hosts = {"box.lan"};
  options.extra_origins = {"moz-extension://*", "https://app.example"};
  const Security security(options);
  const auto allowed = [&](std::string host, std::string origin) {
    HttpRequest request;
    request.headers = {{"Host", std::move(host)}};
    if (!origin.empty()) request.headers.push_back({"Origin", std::move(origin)});
    return !security.CheckSource(request).has_value();
  };
  EXPECT_TRUE(allowed("192.168.1.2:8080", ""));
  EXPECT_TRUE(allowed("box.lan", "http://box.lan"));
  EXPECT_TRUE(allowed("localhost", "moz-extension://abc"));
  EXPECT_TRUE(allowed("localhost", "https://app.example"));
  EXPECT_FALSE(allowed("other.lan", ""));
  EXPECT_FALSE(allowed("localhost", "https://app.example.evil"));
  EXPECT_FALSE(allowed("localhost", "http://other.example"));
}

}  // namespace
}  // namespace mach::server
