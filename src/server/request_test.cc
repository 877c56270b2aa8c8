// Requests and messages without a server.
#include <gtest/gtest.h>

#include "chat/template.h"
#include "json/parse.h"
#include "json/write.h"
#include "server/chat_request.h"
#include "server/last_turn.h"
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
      {R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},{"role":"user",)"
       R"("content":""}])",
       R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},)"
       R"({"role":"user","content":""}])"},
      // Parts are joined; unknown keys go.
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},)"
       R"("c"],"x":1,"name":"n"}])",
       R"([{"role":"user","content":"a\nb\nc","name":"n"}])"},
      // Content may be null in the assistant's messages, and missing where they say something else.
      {R"([{"role":"assistant","content":null},{"role":"user","content":"a"}])",
       R"([{"role":"assistant","content":""},{"role":"user","content":"a"}])"},
      {R"([{"role":"user","content":"a"},{"role":"assistant"}])", "error messages[1].content"},
      {R"([{"role":"user"}])", "error messages[0].content"},
      {R"([{"role":"user","content":null}])", "error messages[0].content"},
      {R"([{"role":"system"}])", "error messages[0].content"},
      {R"([{"role":"developer","content":null}])", "error messages[0].content"},
      {R"([{"role":"user","content":"a"},{"role":"tool","tool_call_id":"c"}])",
       "error messages[1].content"},
      {R"([{"role":"function","name":"f"}])", "error messages[0].content"},
      {R"([{"role":"assistant","tool_calls":null}])", "error messages[0].content"},
      // Parts that are the assistant's thinking.
      {R"([{"role":"assistant","content":[{"type":"thinking","thinking":"p","signature":"s"},)"
       R"({"type":"redacted_thinking","data":"d"},{"type":"text","text":"a"},)"
       R"({"type":"reasoning","text":"q"},{"type":"reasoning","summary":[{"type":"summary_text",)"
       R"("text":"r"}]},{"type":"text","text":"b"}]}])",
       R"([{"role":"assistant","content":"a\nb","reasoning_content":"p\nq\nr"}])"},
      {R"([{"role":"assistant","reasoning_content":"r","content":[{"type":"thinking",)"
       R"("thinking":"p"}]}])",
       R"([{"role":"assistant","content":"","reasoning_content":"r"}])"},
      {R"([{"role":"user","content":[{"type":"thinking","thinking":"p"}]}])",
       "error messages[0].content[0]"},
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

GenerationRequest ParsedChat(const std::string& extra,
                             std::string_view messages = R"([{"role":"user","content":"x"}])") {
  auto parsed = ParseChatRequest(
      "{" + extra + (extra.empty() ? "" : ",") + R"("messages":)" + std::string(messages) + "}",
      {});
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    ADD_FAILURE() << extra << ": " << error->message;
    return {};
  }
  return std::get<GenerationRequest>(std::move(parsed));
}

TEST(ChatRequest, MinusOneTokensAreNoLimit) {
  EXPECT_FALSE(ParsedChat(R"("max_tokens":-1)").max_tokens.has_value());
  EXPECT_FALSE(ParsedChat(R"("max_completion_tokens":-1)").max_tokens.has_value());
  EXPECT_EQ(ParsedChat(R"("max_completion_tokens":-1,"max_tokens":3)").max_tokens, 3u);
  EXPECT_EQ(ParsedChat(R"("max_completion_tokens":0)").max_tokens, 0u);
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const auto parsed = ParseChatRequest(
        R"({"messages":[{"role":"user","content":"x"}],")" + std::string(name) + "\":-2}", {});
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
    EXPECT_EQ(std::get<ApiError>(parsed).param, name);
  }
}

TEST(ChatRequest, AToolChoiceIsAWordInEitherForm) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}],)";
  for (const bool object : {false, true}) {
    const auto choose = [&](const std::string& word) {
      return ParsedChat(tools + "\"tool_choice\":" +
                        (object ? "{\"type\":\"" + word + "\"}" : "\"" + word + "\""));
    };
    const GenerationRequest automatic = choose("auto");
    EXPECT_TRUE(automatic.parse_tools);
    EXPECT_FALSE(automatic.force_call);
    const GenerationRequest none = choose("none");
    EXPECT_FALSE(none.parse_tools);
    EXPECT_TRUE(none.chat.tools.empty());
    EXPECT_TRUE(choose("required").force_call);
    EXPECT_TRUE(choose("any").force_call);
  }
  // Anthropic's spelling of a named tool.
  EXPECT_EQ(ParsedChat(tools + R"("tool_choice":{"type":"tool","name":"f"})").forced_function, "f");
}

TEST(ChatRequest, GoesOnWithALastMessageOfTheAssistant) {
  constexpr std::string_view kOpen =
      R"([{"role":"user","content":"x"},{"role":"assistant","content":"y"}])";
  const ChatInput opened = ParsedChat("", kOpen).chat;
  EXPECT_TRUE(opened.continue_final);
  EXPECT_FALSE(opened.add_generation_prompt);
  EXPECT_TRUE(ParsedChat(R"("continue_final_message":true,"add_generation_prompt":false)", kOpen)
                  .chat.continue_final);
  // Whoever asks for another turn, or for the turn as it is, gets that.
  for (const bool another : {false, true}) {
    const ChatInput chat =
        ParsedChat(another ? R"("add_generation_prompt":true)" : R"("add_generation_prompt":false)",
                   kOpen)
            .chat;
    EXPECT_FALSE(chat.continue_final);
    EXPECT_EQ(chat.add_generation_prompt, another);
  }
  EXPECT_FALSE(ParsedChat(R"("continue_final_message":false)", kOpen).chat.continue_final);
  // Nothing to go on with.
  EXPECT_TRUE(ParsedChat("").chat.add_generation_prompt);
  EXPECT_TRUE(ParsedChat("", R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":)"
                             R"([{"function":{"name":"f"}}]}])")
                  .chat.add_generation_prompt);
  const ChatInput empty =
      ParsedChat("", R"([{"role":"user","content":"x"},{"role":"assistant","content":" "}])").chat;
  EXPECT_TRUE(empty.add_generation_prompt);
  EXPECT_EQ(empty.messages.size(), 1u);
  for (const char* body :
       {R"({"continue_final_message":true,"messages":[{"role":"user","content":"x"}]})",
        R"({"continue_final_message":true,"add_generation_prompt":true,"messages":[)"
        R"({"role":"assistant","content":"x"}]})"}) {
    const auto parsed = ParseChatRequest(body, {});
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed)) << body;
    EXPECT_EQ(std::get<ApiError>(parsed).param, "continue_final_message");
  }
}

// What transformers' apply_chat_template(continue_final_message=True) gives.
TEST(LastTurn, EndsWhereTheTemplateShowsTheContentsEnd) {
  constexpr std::string_view kKeeps =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}";
  constexpr std::string_view kTrims =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}bye";
  constexpr std::string_view kFirstOnly = "{{ messages[0].content }}";
  const auto ends = [](std::string_view source, std::string_view content) {
    const json::Array messages{json::Object{{"role", "user"}, {"content", "end e"}},
                               json::Object{{"role", "assistant"}, {"content", content}}};
    const auto rendered =
        chat::Template::Parse(source)->Render({{"messages", MarkLastTurn(messages)}}, {});
    const size_t end = EndOfMarkedTurn(rendered->text);
    return end == std::string::npos ? "nowhere" : rendered->text.substr(0, end);
  };
  EXPECT_EQ(ends(kKeeps, "e"), "<|user|>end e<|end|>\n<|assistant|>e");
  EXPECT_EQ(ends(kKeeps, " e \n"), "<|user|>end e<|end|>\n<|assistant|> e \n");
  EXPECT_EQ(ends(kTrims, " e \n"), "<|user|>end e<|end|>\n<|assistant|>e");
  EXPECT_EQ(ends(kFirstOnly, "e"), "nowhere");
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
  EXPECT_EQ(router.Find("GET", "//v1//things//").route->pattern, "/v1/things");
  EXPECT_EQ(router.Find("GET", "/v1/things//a//b").tail, "a/b");
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
  EXPECT_EQ(HostAndPort("::1", 80), "[::1]:80");
  EXPECT_EQ(HostAndPort("[::1]", 80), "[::1]:80");
  EXPECT_EQ(HostAndPort("127.0.0.1", 80), "127.0.0.1:80");
  for (const char* host : {"", "[", "[::1", "::1]", "a"}) EXPECT_EQ(WithoutBrackets(host), host);
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
  options.bind_host = "[fd00::1]";
  HttpRequest bracketed;
  bracketed.headers = {{"Host", "[fd00::1]:8080"}};
  EXPECT_FALSE(Security(options).CheckSource(bracketed).has_value());
  EXPECT_TRUE(allowed("box.lan", "http://box.lan"));
  EXPECT_TRUE(allowed("localhost", "moz-extension://abc"));
  EXPECT_TRUE(allowed("localhost", "https://app.example"));
  EXPECT_FALSE(allowed("other.lan", ""));
  EXPECT_FALSE(allowed("localhost", "https://app.example.evil"));
  EXPECT_FALSE(allowed("localhost", "http://other.example"));
}

}  // namespace
}  // namespace mach::server
