// Chat completions from end to end, over loopback and a scripted engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string Body(std::string_view extra, std::string_view content = "hi") {
  return R"({"messages":[{"role":"user","content":")" + std::string(content) + "\"}]" +
         (extra.empty() ? "" : ",") + std::string(extra) + "}";
}

class ChatTest : public ApiTest {
 protected:
  static json::Value Whole(uint16_t port, std::string_view extra, std::string_view content = "hi") {
    return Answer(port, kChat, Body(extra, content));
  }
  static std::vector<json::Value> Stream(uint16_t port, std::string_view extra) {
    const std::string stream = extra.empty() ? R"("stream":true)" : R"("stream":true,)";
    return Events(port, kChat, Body(stream + std::string(extra)));
  }
};

TEST_F(ChatTest, AnswersInOpenAisShape) {
  TestServer server;
  const json::Value body = Whole(server.port(), R"("model":"gpt-4o")");
  std::string keys;
  for (const json::Member& member : body.AsObject()) keys += member.key + " ";
  EXPECT_EQ(keys, "id object created model system_fingerprint choices usage timings mach ");
  EXPECT_EQ(At(body, {"id"}).AsString().substr(0, 9), "chatcmpl-");
  EXPECT_EQ(Text(At(body, {"object"})), R"("chat.completion")");
  EXPECT_EQ(Text(At(body, {"model"})), R"("scripted/model")");
  EXPECT_THAT(At(body, {"system_fingerprint"}).AsString(), HasSubstr("b1.2.3-"));
  EXPECT_EQ(Text(At(body, {"choices"})),
            R"([{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},)"
            R"("logprobs":null,"finish_reason":"stop"}])");
  EXPECT_EQ(Text(At(body, {"usage"})),
            R"({"prompt_tokens":3,"completion_tokens":6,"total_tokens":9,)"
            R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":)"
            R"({"reasoning_tokens":0,"accepted_prediction_tokens":0,)"
            R"("rejected_prediction_tokens":0}})");
  EXPECT_EQ(Text(At(body, {"timings", "predicted_n"})), "6");
}

TEST_F(ChatTest, StreamsByTheRules) {
  TestServer server;
  TestClient client(server.port());
  client.Send(Post(kChat, Body(R"("stream":true,"stream_options":{"include_usage":true})")));
  const RawResponse response = client.Read();
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(response.headers.at("cache-control"), "no-cache");
  EXPECT_EQ(response.headers.at("x-accel-buffering"), "no");
  EXPECT_EQ(response.headers.at("transfer-encoding"), "chunked");

  const auto events = Stream(server.port(), R"("stream_options":{"include_usage":true})");
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(Text(At(events[0], {"choices"})),
            R"([{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,)"
            R"("finish_reason":null}])");
  std::string content;
  for (size_t i = 1; i + 2 < events.size(); ++i) {
    const json::Value delta = At(events[i], {"choices", "0", "delta"});
    ASSERT_EQ(delta.AsObject().size(), 1u);
    ASSERT_FALSE(At(delta, {"content"}).AsString().empty());
    content += At(delta, {"content"}).AsString();
    EXPECT_EQ(At(events[i], {"id"}), At(events[0], {"id"}));
    EXPECT_TRUE(At(events[i], {"usage"}).is_null());
  }
  EXPECT_EQ(content, "Hello!");
  const json::Value& last = events[events.size() - 2];
  EXPECT_EQ(Text(At(last, {"choices", "0", "delta"})), "{}");
  EXPECT_EQ(Text(At(last, {"choices", "0", "finish_reason"})), "\"stop\"");
  EXPECT_EQ(Text(At(events.back(), {"choices"})), "[]");
  EXPECT_EQ(Text(At(events.back(), {"usage", "completion_tokens"})), "6");
  // Without the wish, no usage event.
  for (const json::Value& event : Stream(server.port(), "")) {
    EXPECT_EQ(event.Find("usage"), nullptr);
    EXPECT_EQ(At(event, {"choices"}).AsArray().size(), 1u);
  }
}

TEST_F(ChatTest, SeparatesReasoning) {
  TestServer server(Saying("Let me see.\n</think>\n\nFour."));
  const std::string think = R"("chat_template_kwargs":{"enable_thinking":true})";
  const json::Value body = Whole(server.port(), think);
  EXPECT_EQ(Text(At(body, {"choices", "0", "message"})),
            R"({"role":"assistant","content":"Four.","refusal":null,)"
            R"("reasoning_content":"Let me see.","reasoning":"Let me see."})");
  EXPECT_EQ(Text(At(body, {"usage", "completion_tokens_details", "reasoning_tokens"})), "13");
  std::string reasoning, content;
  for (const json::Value& event : Stream(server.port(), think)) {
    const json::Value delta = At(event, {"choices", "0", "delta"});
    if (const json::Value text = At(delta, {"reasoning_content"}); text.is_string()) {
      EXPECT_EQ(content, "");
      EXPECT_EQ(At(delta, {"reasoning"}), text);
      reasoning += text.AsString();
    }
    if (const json::Value text = At(delta, {"content"}); text.is_string()) {
      content += text.AsString();
    }
  }
  EXPECT_EQ(reasoning, "Let me see.");
  EXPECT_EQ(content, "Four.");

  const json::Value hidden = Whole(server.port(), think + R"(,"include_reasoning":false)");
  EXPECT_EQ(Text(At(hidden, {"choices", "0", "message"})),
            R"({"role":"assistant","content":"Four.","refusal":null})");
  const json::Value kept = Whole(server.port(), think + R"(,"reasoning_format":"none")");
  EXPECT_EQ(At(kept, {"choices", "0", "message", "content"}).AsString(),
            "<think>\nLet me see.\n</think>\n\nFour.");
  const json::Value none = Whole(server.port(), R"("reasoning_effort":"none")");
  EXPECT_TRUE(At(none, {"choices", "0", "message", "reasoning"}).is_null());
}

constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"set_timer","parameters":{"type":"object",)"
    R"("properties":{"minutes":{"type":"integer"},"label":{"type":"string"}}}}}])";
constexpr std::string_view kCall =
    "<tool_call>\n<function=set_timer>\n<parameter=minutes>\n77\n</parameter>\n<parameter=label>\n"
    "tea \"x\"\n</parameter>\n</function>\n</tool_call>";

TEST_F(ChatTest, CallsTools) {
  TestServer server(Saying(std::string(kCall) + "\n" + std::string(kCall)));
  const json::Value body = Whole(server.port(), kTools);
  const json::Value message = At(body, {"choices", "0", "message"});
  EXPECT_TRUE(At(message, {"content"}).is_null());
  const json::Value calls = At(message, {"tool_calls"});
  ASSERT_EQ(calls.AsArray().size(), 2u);
  EXPECT_EQ(At(calls, {"0", "id"}).AsString().substr(0, 5), "call_");
  EXPECT_NE(At(calls, {"0", "id"}), At(calls, {"1", "id"}));
  EXPECT_EQ(
      Text(At(calls, {"1", "function"})),
      R"({"name":"set_timer","arguments":"{\"minutes\": 77, \"label\": \"tea \\\"x\\\"\"}"})");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"tool_calls\"");

  std::vector<std::string> arguments(2);
  std::vector<std::string> ids(2);
  for (const json::Value& event : Stream(server.port(), kTools)) {
    const json::Value call = At(event, {"choices", "0", "delta", "tool_calls", "0"});
    if (call.is_null()) continue;
    const auto index = static_cast<size_t>(At(call, {"index"}).AsInt());
    ASSERT_LT(index, 2u);
    if (call.Find("id") != nullptr) {
      EXPECT_EQ(ids[index], "");  // identity comes once
      ids[index] = At(call, {"id"}).AsString();
      EXPECT_EQ(Text(At(call, {"function"})), R"({"name":"set_timer","arguments":""})");
    } else {
      EXPECT_EQ(At(call, {"function"}).AsObject().size(), 1u);
    }
    arguments[index] += At(call, {"function", "arguments"}).AsString();
  }
  EXPECT_EQ(arguments[0], R"({"minutes": 77, "label": "tea \"x\""})");
  EXPECT_EQ(arguments[1], arguments[0]);

  const json::Value one =
      Whole(server.port(), std::string(kTools) + R"(,"parallel_tool_calls":false)");
  EXPECT_EQ(At(one, {"choices", "0", "message", "tool_calls"}).AsArray().size(), 1u);
  EXPECT_EQ(Text(At(one, {"choices", "0", "finish_reason"})), "\"tool_calls\"");
  const json::Value none = Whole(server.port(), std::string(kTools) + R"(,"tool_choice":"none")");
  EXPECT_THAT(At(none, {"choices", "0", "message", "content"}).AsString(),
              HasSubstr("<function=set_timer>"));
}

// The call's opening goes to the prompt's end, and is part of the answer.
TEST_F(ChatTest, ForcesCalls) {
  const std::string rest = "<parameter=minutes>\n77\n</parameter>\n</function>\n</tool_call>";
  const std::string opening = "<tool_call>\n<function=set_timer>\n";
  for (const std::string choice :
       {"\"required\"", R"({"type":"function","function":{"name":"set_timer"}})",
        R"({"type":"function","name":"set_timer"})",
        R"({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[)"
        R"({"type":"function","function":{"name":"set_timer"}}]}})"}) {
    TestServer server(Saying(rest));
    const std::string extra = std::string(kTools) + ",\"tool_choice\":" + choice;
    const json::Value body = Whole(server.port(), extra);
    EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"tool_calls\"");
    EXPECT_TRUE(At(body, {"choices", "0", "message", "content"}).is_null());
    EXPECT_EQ(Text(At(body, {"choices", "0", "message", "tool_calls", "0", "function"})),
              R"({"name":"set_timer","arguments":"{\"minutes\": 77}"})");
    const std::vector<TokenId> prompt = server.engine().last_request().prompt;
    const std::vector<TokenId> forced = engine::ScriptTokens(opening);
    ASSERT_GT(prompt.size(), forced.size());
    EXPECT_TRUE(std::equal(forced.rbegin(), forced.rend(), prompt.rbegin()));
    EXPECT_EQ(At(body, {"usage", "prompt_tokens"}).AsInt(),
              static_cast<int64_t>(3 + forced.size()));
    EXPECT_EQ(At(body, {"usage", "completion_tokens"}).AsInt(),
              static_cast<int64_t>(engine::ScriptTokens(rest).size()));
    std::string arguments, name;
    for (const json::Value& event : Stream(server.port(), extra)) {
      const json::Value call = At(event, {"choices", "0", "delta", "tool_calls", "0", "function"});
      if (call.is_null()) continue;
      if (call.Find("name") != nullptr) name += At(call, {"name"}).AsString();
      arguments += At(call, {"arguments"}).AsString();
    }
    EXPECT_EQ(name, "set_timer");
    EXPECT_EQ(arguments, R"({"minutes": 77})");
  }
}

TEST_F(ChatTest, ForcesCallsInJson) {
  TestServerOptions options = Saying(" {\"minutes\": 7}}\n</tool_call>");
  options.function_tags = false;
  TestServer server(std::move(options));
  const std::string named = R"(,"tool_choice":{"type":"function","function":{"name":"set_timer"}})";
  // Thinking would come before the call: the template is told to leave it out.
  const json::Value body =
      Whole(server.port(),
            std::string(kTools) + named + R"(,"chat_template_kwargs":{"enable_thinking":true})");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "tool_calls", "0", "function"})),
            R"({"name":"set_timer","arguments":"{\"minutes\":7}"})");
  TestServerOptions free = Saying(" \"b\", \"arguments\": {}}\n</tool_call>");
  free.function_tags = false;
  TestServer several(std::move(free));
  const json::Value any = Whole(
      several.port(), R"("tools":[{"type":"function","function":{"name":"a"}},)"
                      R"({"type":"function","function":{"name":"b"}}],"tool_choice":"required")");
  EXPECT_EQ(Text(At(any, {"choices", "0", "message", "tool_calls", "0", "function"})),
            R"({"name":"b","arguments":"{}"})");
}

TEST_F(ChatTest, SessionsTakeTurns) {
  TestServerOptions options;
  options.engine.hold_at = 0;
  options.engine.max_queue = 8;
  TestServer server(std::move(options));
  std::vector<std::unique_ptr<TestClient>> clients;
  const auto send = [&](std::string_view id, std::string_view header, std::string_view extra) {
    const size_t before = server.engine().submitted();
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->Send(Post(kChat, Body(extra),
                              "x-request-id: " + std::string(id) + "\r\n" + std::string(header)));
    ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == before + 1; }));
  };
  send("running", "", "");
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  send("a1", "", R"("prompt_cache_key":"a","user":"b")");
  send("a2", "x-session-id: a\r\n", R"("user":"c")");
  send("a3", "", R"("session_id":"a")");
  send("b1", "", R"("user":"b")");
  std::vector<std::string> order;
  for (const engine::RequestInfo& info : server.engine().requests()) order.push_back(info.id);
  EXPECT_THAT(order, ElementsAre("running", "a1", "b1", "a2", "a3"));
}

TEST_F(ChatTest, LengthBeatsToolCalls) {
  TestServer server(Saying(std::string(kCall)));
  const json::Value body = Whole(server.port(), std::string(kTools) + R"(,"max_tokens":70)");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"length\"");
  EXPECT_EQ(At(body, {"choices", "0", "message", "tool_calls", "0", "function", "name"}).AsString(),
            "set_timer");
}

TEST_F(ChatTest, StopsAtStopStringsAndLimits) {
  TestServer server(Saying("one two three two"));
  json::Value body = Whole(server.port(), R"("stop":["xyz"," tw"])");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "content"})), "\"one\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"stop\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "stop_reason"})), "\" tw\"");
  body = Whole(server.port(), R"("stop":" two","include_stop_str_in_output":true)");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "content"})), "\"one two\"");
  body = Whole(server.port(), R"("max_tokens":99,"max_completion_tokens":7.0)");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "content"})), "\"one two\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"length\"");
  body = Whole(server.port(), R"("max_tokens":0)");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "content"})), "\"\"");
  EXPECT_EQ(Text(At(body, {"choices", "0", "finish_reason"})), "\"length\"");
  body = Whole(server.port(), R"("stop_token_ids":[116])");
  EXPECT_EQ(Text(At(body, {"choices", "0", "message", "content"})), "\"one \"");
  std::string content;
  for (const json::Value& event : Stream(server.port(), R"("stop":" two t")")) {
    const json::Value text = At(event, {"choices", "0", "delta", "content"});
    if (text.is_string()) content += text.AsString();
  }
  EXPECT_EQ(content, "one");
}

TEST_F(ChatTest, NeverSplitsCharacters) {
  const std::string text = "é€😀 \xF0\x9F\x98 x \xE2\x82";  // then a broken one, and a cut-off one
  TestServer server(Saying(text));
  const std::string expected = "é€😀 \xEF\xBF\xBD x \xEF\xBF\xBD";
  EXPECT_EQ(At(Whole(server.port(), ""), {"choices", "0", "message", "content"}).AsString(),
            expected);
  std::string content;
  for (const json::Value& event : Stream(server.port(), "")) {
    const json::Value part = At(event, {"choices", "0", "delta", "content"});
    if (part.is_string()) content += part.AsString();
  }
  EXPECT_EQ(content, expected);
}

TEST_F(ChatTest, ReportsLogProbabilities) {
  TestServer server(Saying("é!END"));
  const std::string ask = R"("logprobs":true,"top_logprobs":2,"stop":"END")";
  const json::Value body = Whole(server.port(), ask);
  const json::Value entries = At(body, {"choices", "0", "logprobs", "content"});
  ASSERT_EQ(entries.AsArray().size(), 3u);  // the stop string's are left out
  EXPECT_EQ(Text(At(entries, {"0", "bytes"})), "[195]");
  EXPECT_EQ(Text(At(entries, {"1", "bytes"})), "[169]");
  EXPECT_EQ(Text(At(entries, {"2"})),
            R"({"token":"!","logprob":-0.25,"bytes":[33],"top_logprobs":[{"token":"a",)"
            R"("logprob":-0.5,"bytes":[97]},{"token":"b","logprob":-1.0,"bytes":[98]}]})");
  size_t streamed = 0;
  for (const json::Value& event : Stream(server.port(), ask)) {
    const json::Value part = At(event, {"choices", "0", "logprobs", "content"});
    if (part.is_array()) streamed += part.AsArray().size();
  }
  EXPECT_EQ(streamed, 3u);
  const json::Value bare = Whole(server.port(), R"("logprobs":true)");
  EXPECT_EQ(Text(At(bare, {"choices", "0", "logprobs", "content", "0", "top_logprobs"})), "[]");
}

TEST_F(ChatTest, GivesSeveralAnswers) {
  TestServer server;
  const json::Value body = Whole(server.port(), R"("n":3,"seed":5)");
  EXPECT_EQ(At(body, {"choices"}).AsArray().size(), 3u);
  EXPECT_EQ(Text(At(body, {"choices", "2", "index"})), "2");
  EXPECT_EQ(Text(At(body, {"usage", "completion_tokens"})), "18");
  EXPECT_EQ(server.engine().last_request().sampling.seed, 7u);
  std::vector<std::string> content(3);
  for (const json::Value& event : Stream(server.port(), R"("n":3)")) {
    const auto index = static_cast<size_t>(At(event, {"choices", "0", "index"}).AsInt());
    const json::Value part = At(event, {"choices", "0", "delta", "content"});
    if (part.is_string()) content[index] += part.AsString();
  }
  EXPECT_THAT(content, ElementsAre("Hello!", "Hello!", "Hello!"));
}

TEST_F(ChatTest, PassesSamplingOnAndFillsInTheModelsDefaults) {
  TestServer server;
  Whole(server.port(), R"("top_k":-1,"top_p":0,"repeat_penalty":1.5,"logit_bias":{"65":-100})");
  const sample::Params sampling = server.engine().last_request().sampling;
  EXPECT_FLOAT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_GT(sampling.top_p, 0.0f);
  EXPECT_FLOAT_EQ(sampling.repetition_penalty, 1.5f);
  EXPECT_THAT(sampling.logit_bias, ElementsAre(std::pair<TokenId, float>(65, -100.0f)));
  Whole(server.port(), R"("temperature":null,"seed":null,"stop":null,"tools":null,"stream":null)");
  EXPECT_EQ(server.engine().last_request().max_tokens, 4096u - 3u);
  Whole(server.port(), R"("ignore_eos":true,"temperature":0)");
  EXPECT_TRUE(server.engine().last_request().stop_tokens.empty());
  EXPECT_FLOAT_EQ(server.engine().last_request().sampling.temperature, 0.0f);
}

TEST_F(ChatTest, NamesIgnoredParameters) {
  TestServer server;
  const RawResponse response =
      Ask(server.port(), Post(kChat, Body(R"("user":"u","frobnicate":1,"a\r\nb":2)")));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("x-mach-ignored-parameters"), "frobnicate, ab");
  const RawResponse plain = Ask(server.port(), Post(kChat, Body(R"("user":"u","store":true)")));
  EXPECT_FALSE(plain.headers.contains("x-mach-ignored-parameters"));
}

TEST_F(ChatTest, ReportsProgressAndTokens) {
  TestServer server;
  const auto events = Stream(server.port(), R"("return_progress":true,"return_token_ids":true)");
  std::vector<int64_t> processed;
  std::string ids;
  for (const json::Value& event : events) {
    if (const json::Value p = At(event, {"prompt_progress"}); !p.is_null()) {
      processed.push_back(At(p, {"processed"}).AsInt());
      EXPECT_EQ(At(p, {"total"}).AsInt(), 3);
      EXPECT_EQ(At(p, {"cache"}).AsInt(), 0);
    }
    const json::Value part = At(event, {"choices", "0", "token_ids"});
    if (!part.is_array()) continue;
    for (const json::Value& id : part.AsArray()) ids += static_cast<char>(id.AsInt());
  }
  // From what a cache has spared to the whole.
  EXPECT_THAT(processed, ElementsAre(0, 3));
  EXPECT_EQ(ids, "Hello!");
}

TEST_F(ChatTest, SaysWhatIsWrongWithARequest) {
  TestServerOptions options;
  options.engine.context_tokens = 100;
  TestServer server(std::move(options));
  struct Bad {
    std::string body;
    const char* code;
    const char* param;
  };
  const std::vector<Bad> cases = {
      {"", "invalid_json", ""},
      {"[]", "invalid_type", ""},
      {"null", "invalid_type", ""},
      {"{\"messages\":[", "invalid_json", ""},
      {"{} x", "invalid_json", ""},
      {"{\"messages\":NaN}", "invalid_json", ""},
      {"\xEF\xBB\xBF{}", "invalid_json", ""},
      {"{\"model\":\"\xB0\xA1\"}", "invalid_json", ""},
      {"{\"model\":\"\\ud800\"}", "invalid_json", ""},
      {"{\"seed\":1,\"seed\":2}", "invalid_json", ""},
      {"{\"temperature\":1e999}", "invalid_json", ""},
      {std::string(100, '[') + std::string(100, ']'), "invalid_json", ""},
      {"{}", "missing_required_parameter", "messages"},
      {R"({"messages":"hi"})", "invalid_type", "messages"},
      {R"({"messages":[]})", "invalid_value", "messages"},
      {R"({"messages":[1]})", "invalid_type", "messages[0]"},
      {R"({"messages":[{"content":"x"}]})", "missing_required_parameter", "messages[0].role"},
      {R"({"messages":[{"role":"pope","content":"x"}]})", "invalid_value", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":5}]})", "invalid_type", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "invalid_value",
       "messages[0].content[0]"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"a"},)"
       R"({"role":"assistant","content":"b"}]})",
       "invalid_value", "messages[2]"},
      {Body(R"("temperature":"0.5")"), "invalid_type", "temperature"},
      {Body(R"("temperature":-1)"), "invalid_value", "temperature"},
      {Body(R"("stream":1)"), "invalid_type", "stream"},
      {Body(R"("max_tokens":1.5)"), "invalid_type", "max_tokens"},
      {Body(R"("max_tokens":-2)"), "invalid_value", "max_tokens"},
      {Body(R"("n":0)"), "invalid_value", "n"},
      {Body(R"("n":17)"), "invalid_value", "n"},
      {Body(R"("top_logprobs":2)"), "invalid_value", "top_logprobs"},
      {Body(R"("logprobs":true,"top_logprobs":21)"), "invalid_value", "top_logprobs"},
      {Body(R"("stream_options":{"include_usage":true})"), "invalid_value", "stream_options"},
      {Body(R"("speculation":{"mode":"fast"})"), "invalid_value", "speculation.mode"},
      {Body(R"("speculation":{"mode":7})"), "invalid_type", "speculation.mode"},
      {Body(R"("speculation":"ngram")"), "invalid_type", "speculation"},
      {Body(R"("stop":[""])"), "invalid_value", "stop[0]"},
      {Body(R"("stop":[1])"), "invalid_type", "stop[0]"},
      {Body(R"("stop":")" + std::string(257, 'x') + "\""), "invalid_value", "stop"},
      {Body(R"("logit_bias":{"261":1})"), "invalid_value", "logit_bias.261"},
      {Body(R"("logit_bias":{"x":1})"), "invalid_value", "logit_bias.x"},
      {Body(R"("logit_bias":{"007":1})"), "invalid_value", "logit_bias.007"},
      {Body(R"("logit_bias":{"-1":1})"), "invalid_value", "logit_bias.-1"},
      {Body(R"("logit_bias":{"1":101})"), "invalid_value", "logit_bias.1"},
      {Body(R"("response_format":{"type":"json_object"})"), "unsupported_parameter",
       "response_format"},
      {Body(R"("response_format":{})"), "missing_required_parameter", "response_format.type"},
      {Body(R"("response_format":"text")"), "invalid_type", "response_format"},
      {Body(R"("tools":[{"type":"function","function":{}}])"), "missing_required_parameter",
       "tools[0].function.name"},
      {Body(R"("tools":[{"type":"web_search"}])"), "invalid_value", "tools[0].type"},
      {Body(R"("tool_choice":"required")"), "invalid_value", "tool_choice"},
      {Body(R"("tool_choice":{"type":"function","function":{"name":"x"}})"), "unknown_tool",
       "tool_choice"},
      {Body(R"("functions":[{"name":"x"}])"), "unsupported_parameter", "functions"},
      {Body(R"("guided_json":{"type":"object"})"), "unsupported_parameter", "guided_json"},
      {Body(R"("reasoning_effort":"extreme")"), "invalid_value", "reasoning_effort"},
      {Body(R"("chat_template_kwargs":{"messages":[]})"), "invalid_value",
       "chat_template_kwargs.messages"},
      {Body(R"("modalities":["text","audio"])"), "invalid_value", "modalities"},
      {Body("", "REFUSE"), "invalid_value", "messages"},
  };
  for (const Bad& bad : cases) {
    const RawResponse response = Ask(server.port(), Post(kChat, bad.body));
    EXPECT_EQ(response.status, 400) << bad.body.substr(0, 200);
    EXPECT_EQ(response.ErrorCode(), bad.code) << bad.body.substr(0, 200) << response.body;
    EXPECT_EQ(response.ErrorParam(), bad.param) << bad.body.substr(0, 200) << response.body;
    EXPECT_EQ(At(response.Json(), {"error", "type"}).AsString(), "invalid_request_error");
    EXPECT_FALSE(At(response.Json(), {"error", "message"}).AsString().empty());
  }
}

TEST_F(ChatTest, CountsWhatDoesNotFit) {
  TestServerOptions options;
  options.engine.context_tokens = 100;
  TestServer server(std::move(options));
  const RawResponse response =
      Ask(server.port(), Post(kChat, Body(R"("stream":true)", std::string(120, 'x'))));
  EXPECT_EQ(response.status, 400);
  const json::Value error = At(response.Json(), {"error"});
  EXPECT_EQ(Text(At(error, {"type"})), "\"exceed_context_size_error\"");
  EXPECT_EQ(Text(At(error, {"code"})), "\"context_length_exceeded\"");
  EXPECT_EQ(Text(At(error, {"n_prompt_tokens"})), "121");
  EXPECT_EQ(Text(At(error, {"n_ctx"})), "100");
  EXPECT_THAT(At(error, {"message"}).AsString(), HasSubstr("maximum context length is 100 tokens"));
}

TEST_F(ChatTest, RefusesWhatDoesNotFitTheQueue) {
  TestServerOptions options;
  options.engine.hold_at = 0;
  options.engine.max_queue = 1;
  TestServer server(std::move(options));
  TestClient running(server.port());
  running.Send(Post(kChat, Body("")));
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  TestClient waiting(server.port());
  waiting.Send(Post(kChat, Body(R"("stream":true)")));
  ASSERT_NE(waiting.ReadUntil("\"assistant\""), "");  // accepted: not silent
  const RawResponse refused = Ask(server.port(), Post(kChat, Body("")));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.ErrorCode(), "queue_full");
  EXPECT_EQ(At(refused.Json(), {"error", "type"}).AsString(), "rate_limit_error");
  EXPECT_GE(std::stoi(refused.headers.at("retry-after")), 1);
  // The same for a stream: no head of a stream before it is accepted.
  EXPECT_EQ(Ask(server.port(), Post(kChat, Body(R"("stream":true)"))).status, 429);
  server.engine().Release();
  EXPECT_EQ(running.Read().status, 200);
  EXPECT_EQ(waiting.Read().status, 200);
}

TEST_F(ChatTest, TellsOfFailuresInTheStreamAndAsAStatus) {
  TestServerOptions options;
  options.engine.fails = true;
  TestServer server(std::move(options));
  const RawResponse whole = Ask(server.port(), Post(kChat, Body("")));
  EXPECT_EQ(whole.status, 500);
  EXPECT_EQ(At(whole.Json(), {"error", "type"}).AsString(), "server_error");
  EXPECT_EQ(whole.headers.at("x-should-retry"), "false");
  const RawResponse stream = Ask(server.port(), Post(kChat, Body(R"("stream":true)")));
  EXPECT_EQ(stream.status, 200);
  const std::vector<std::string> data = SseData(stream.body);
  ASSERT_GE(data.size(), 2u);
  EXPECT_THAT(data[data.size() - 2],
              HasSubstr(R"({"error":{"message":"a file that the answer needs could not be read)"));
  EXPECT_EQ(data.back(), "[DONE]");
}

TEST_F(ChatTest, IsNeverSilent) {
  TestServerOptions options;
  options.engine.hold_at = 2;
  options.http.limits.ping_interval = std::chrono::milliseconds(20);
  TestServer server(std::move(options));
  TestClient running(server.port());
  running.Send(Post(kChat, Body(R"("stream":true)")));
  EXPECT_NE(running.ReadUntil(R"("content":"H)"), "");  // "He" where one event has both tokens
  EXPECT_NE(running.ReadUntil(": ping\n\n"), "");
  TestClient waiting(server.port());
  waiting.Send(Post(kChat, Body(R"("stream":true)")));
  EXPECT_NE(waiting.ReadUntil(": queued 1\n\n"), "");
  TestClient quiet(server.port());
  quiet.Send(Post(kChat, Body(R"("stream":true,"sse_ping_interval":-1)")));
  EXPECT_NE(quiet.ReadUntil("assistant"), "");
  server.engine().Release();
  EXPECT_THAT(quiet.Read().body, Not(HasSubstr("\n: ")));
}

// Each way to leave, in each phase.
TEST_F(ChatTest, AClientThatLeavesCancelsItsRequest) {
  for (const bool stream : {true, false}) {
    for (const bool reset : {true, false}) {
      TestServerOptions options;
      options.engine.hold_at = 2;
      TestServer server(std::move(options));
      const std::string request = Post(kChat, Body(stream ? R"("stream":true)" : ""));
      TestClient decoding(server.port());
      decoding.Send(request);
      if (stream) {
        ASSERT_NE(decoding.ReadUntil(R"("content":"H)"), "");
      }
      ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
      TestClient queued(server.port());
      queued.Send(request);
      ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 2; }));
      reset ? queued.Reset() : queued.Close();
      reset ? decoding.Reset() : decoding.Close();
      EXPECT_TRUE(Eventually([&] { return server.http().connections() == 0; }));
      EXPECT_TRUE(Eventually([&] { return server.engine().cancelled() >= 1; }));
      // The engine is free for the next one.
      TestClient next(server.port());
      next.Send(request);
      ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
      server.engine().Release();
      EXPECT_EQ(next.Read().status, 200);
    }
  }
}

TEST_F(ChatTest, ManyClientsThatGiveUpLeaveRoomForOneThatWaits) {
  TestServerOptions options;
  options.engine.hold_at = 1;
  options.engine.max_queue = 300;
  TestServer server(std::move(options));
  {
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 100; ++i) {
      clients.push_back(std::make_unique<TestClient>(server.port()));
      clients.back()->Send(Post(kChat, Body(i % 2 == 0 ? "" : R"("stream":true)")));
    }
    ASSERT_TRUE(Eventually([&] { return server.http().connections() == 100; }));
  }
  ASSERT_TRUE(Eventually([&] { return server.http().connections() == 0; }));
  TestClient patient(server.port());
  patient.Send(Post(kChat, Body("")));
  server.engine().Release();
  EXPECT_EQ(patient.Read().status, 200);
}

}  // namespace
}  // namespace mach::server
