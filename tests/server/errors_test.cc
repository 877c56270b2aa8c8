// Every kind of error that the API has, by status, type and code.
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

std::string Chat(std::string_view extra, std::string_view content = "hi") {
  return Post(kChat, R"({"messages":[{"role":"user","content":")" + std::string(content) + "\"}]" +
                         (extra.empty() ? "" : ",") + std::string(extra) + "}");
}

struct Row {
  const char* what;
  std::string request;
  int status;
  const char* type;
  const char* code;
  const char* param = "";
  const char* header = "";  // one that must be there
};

class ErrorsTest : public ApiTest {
 protected:
  static void Check(const RawResponse& response, const Row& row) {
    EXPECT_EQ(response.status, row.status) << row.what << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/json") << row.what;
    const json::Value body = response.Json();
    const json::Value error = At(body, {"error"});
    ASSERT_TRUE(error.is_object()) << row.what << response.body;
    EXPECT_EQ(At(error, {"type"}).AsString(), row.type) << row.what;
    EXPECT_EQ(response.ErrorCode(), row.code) << row.what << response.body;
    EXPECT_EQ(response.ErrorParam(), row.param) << row.what << response.body;
    EXPECT_FALSE(At(error, {"message"}).AsString().empty()) << row.what;
    ASSERT_NE(error.Find("param"), nullptr) << row.what;
    if (*row.header != '\0') {
      EXPECT_TRUE(response.headers.contains(row.header)) << row.what;
    }
    if (response.headers.contains("retry-after")) {
      const int seconds = std::stoi(response.headers.at("retry-after"));
      EXPECT_TRUE(seconds >= 1 && seconds <= 60) << row.what << seconds;
    }
    // Clients retry these by themselves: they are told where that is of no use.
    const bool retried = row.status == 500 || row.status == 501;
    EXPECT_EQ(response.headers.contains("x-should-retry"), retried) << row.what;
  }
  static void Check(TestServer& server, const Row& row) {
    Check(Ask(server.port(), row.request), row);
  }
};

constexpr const char* kInvalid = "invalid_request_error";

TEST_F(ErrorsTest, OfRequests) {
  TestServerOptions options;
  options.engine.context_tokens = 100;
  options.service.strict_model = true;
  options.http.limits.body_bytes = 4000;
  options.http.limits.header_bytes = 4000;
  options.http.limits.target_bytes = 200;
  TestServer server(std::move(options));
  const std::string json_head = "Content-Type: application/json\r\n";
  const std::vector<Row> rows = {
      {"no JSON", Post(kChat, "{"), 400, kInvalid, "invalid_json"},
      {"no object", Post(kChat, "[1]"), 400, kInvalid, "invalid_type"},
      {"a wrong type", Chat(R"("top_p":"x")"), 400, kInvalid, "invalid_type", "top_p"},
      {"a missing parameter", Post(kChat, "{}"), 400, kInvalid, "missing_required_parameter",
       "messages"},
      {"a wrong value", Chat(R"("top_p":2)"), 400, kInvalid, "invalid_value", "top_p"},
      {"an unsupported parameter", Chat(R"("grammar":"x")"), 400, kInvalid, "unsupported_parameter",
       "grammar"},
      {"an unknown tool",
       Chat(R"("tools":[{"type":"function","function":{"name":"a"}}],)"
            R"("tool_choice":{"type":"function","function":{"name":"b"}})"),
       400, kInvalid, "unknown_tool", "tool_choice"},
      {"too long", Chat("", std::string(200, 'x')), 400, "exceed_context_size_error",
       "context_length_exceeded", "messages"},
      {"another model", Chat(R"("model":"gpt-4o")"), 404, "not_found_error", "model_not_found",
       "model"},
      {"no such model", Get("/v1/models/x"), 404, "not_found_error", "model_not_found", "model"},
      {"no such route", Get("/x"), 404, "not_found_error", "route_not_found"},
      {"no such request", "DELETE /mach/requests/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404,
       "not_found_error", "request_not_found", "id"},
      {"another method", Get(kChat), 405, kInvalid, "method_not_allowed", "", "allow"},
      {"a large body", Post(kChat, std::string(5000, ' ')), 413, kInvalid, "request_too_large"},
      {"a long target", Get("/" + std::string(300, 'x')), 414, kInvalid, "uri_too_long"},
      {"no media type",
       "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415,
       kInvalid, "unsupported_media_type"},
      {"an expectation",
       "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\n" + json_head +
           "Content-Length: 2\r\n\r\n{}",
       417, kInvalid, "expectation_failed"},
      {"a large head", Get("/health", "x: " + std::string(5000, 'x') + "\r\n"), 431, kInvalid,
       "headers_too_large"},
      {"a foreign host", "GET /health HTTP/1.1\r\nHost: a.example\r\n\r\n", 403, "permission_error",
       "host_not_allowed"},
      {"a foreign origin", Get("/health", "Origin: https://a.example\r\n"), 403, "permission_error",
       "origin_not_allowed"},
      {"no host", "GET /health HTTP/1.1\r\n\r\n", 400, kInvalid, "missing_host"},
      {"no HTTP", "hello\r\n\r\n", 400, kInvalid, "invalid_http"},
      {"embeddings", Post("/v1/embeddings", "{}"), 501, "not_supported_error", "not_supported"},
      {"warm_prefix", Post("/v1/cache/warm_prefix", R"({"text":"a"})"), 501, "not_supported_error",
       "not_supported"},
  };
  for (const Row& row : rows) Check(server, row);
  // A body without an announced length is no error (411): it comes in chunks.
  EXPECT_EQ(Ask(server.port(), "POST /tokenize HTTP/1.1\r\nHost: localhost\r\n" + json_head +
                                   "Transfer-Encoding: chunked\r\n\r\nf\r\n{\"content\":\"a\"}\r\n"
                                   "0\r\n\r\n")
                .status,
            200);
}

TEST_F(ErrorsTest, OfKeys) {
  TestServerOptions options;
  options.http.security.keys.Add("secret");
  TestServer server(std::move(options));
  Check(server, {"no key", Chat(""), 401, "authentication_error", "invalid_api_key", "",
                 "www-authenticate"});
  Check(server, {"a wrong key", Get("/v1/models", "Authorization: Bearer x\r\n"), 401,
                 "authentication_error", "invalid_api_key", "", "www-authenticate"});
}

TEST_F(ErrorsTest, OfTime) {
  TestServerOptions options;
  options.http.limits.header_timeout = std::chrono::milliseconds(30);
  TestServer server(std::move(options));
  Check(server, {"a slow head", "GET /", 408, kInvalid, "request_timeout"});
}

TEST_F(ErrorsTest, OfTheQueue) {
  TestServerOptions options;
  options.engine.hold_at = 0;
  options.engine.max_queue = 0;
  TestServer server(std::move(options));
  TestClient running(server.port());
  running.Send(Chat(""));
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  Check(server,
        {"a full queue", Chat(""), 429, "rate_limit_error", "queue_full", "", "retry-after"});
}

TEST_F(ErrorsTest, OfTheEngine) {
  TestServerOptions options;
  options.engine.fails = true;
  TestServer server(std::move(options));
  Check(server, {"a failure", Chat(""), 500, "server_error", "io"});
}

TEST_F(ErrorsTest, OfTheStateOfTheServer) {
  TestServerOptions options;
  options.loaded = false;
  options.service.hold.most = 0;
  TestServer loading(std::move(options));
  const Row row{"loading", Chat(""), 503, "unavailable_error", "loading", "", "retry-after"};
  Check(loading, row);
  Check(loading, {"health while loading", Get("/health"), 503, "unavailable_error", "loading", "",
                  "retry-after"});

  // A request that has begun before the shutdown. Its first line must have been read by then, since
  // idle connections are closed: nothing tells when it was, so the wait grows.
  RawResponse answer;
  for (const int pause_ms : {20, 200, 2000}) {
    TestServerOptions held;
    held.engine.hold_at = 1;
    TestServer draining(std::move(held));
    TestClient running(draining.port());
    running.Send(Chat(""));
    ASSERT_TRUE(Eventually([&] { return draining.engine().running() == 1; }));
    TestClient late(draining.port());
    late.Send("POST /v1/chat/completions HTTP/1.1\r\n");
    ASSERT_TRUE(Eventually([&] { return draining.http().connections() == 2; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    draining.http().BeginShutdown();
    const std::string whole = Chat("");
    late.Send(whole.substr(whole.find("\r\n") + 2));
    answer = late.Read();
    draining.engine().Release();
    EXPECT_EQ(running.Read().status, 200);
    if (answer.status != 0) break;
  }
  Check(answer, {"draining", "", 503, "unavailable_error", "draining", "", "retry-after"});
}

// The client gets what it can tell to whoever reads the log, and none of the server's paths.
TEST_F(ErrorsTest, OfTheServersFilesNameNone) {
  for (const Code code : {Code::kIo, Code::kCorrupt, Code::kNoMemory, Code::kNotFound}) {
    const ApiError error = FromError({code, "'/srv/x' is wrong"}, "req_1");
    EXPECT_EQ(error.status, 500);
    EXPECT_THAT(Text(ToJson(error)), testing::Not(testing::HasSubstr("/srv")));
    EXPECT_THAT(error.message, testing::HasSubstr("'req_1'"));
    EXPECT_THAT(LogText(error), testing::HasSubstr("detail=\"'/srv/x' is wrong\""));
  }
  EXPECT_EQ(FromError({Code::kInvalidArgument, "'n' is 0"}, "req_1").message, "'n' is 0");
}

// ---- what the log says ----

TEST(LogText, NamesCodeAndFieldAndNothingElse) {
  EXPECT_EQ(LogText(BadRequest("invalid_value", "messages[2].content", "secret text")),
            " code=invalid_value param=messages[2].content");
  EXPECT_EQ(LogText(BadRequest("", "", "secret text")), " code=none");
  // A field's name is the client's: it ends no pair and no line, and is short.
  EXPECT_EQ(LogText(BadRequest("x", "a b=c\n\xff", "")), " code=x param=a?b?c??");
  EXPECT_EQ(LogText(BadRequest("x", std::string(1000, 'y'), "")).size(),
            std::string(" code=x param=").size() + 100);
}

// The lines of a server that has come and gone.
template <class Use>
std::string LogOf(TestServerOptions options, LogLevel level, const Use& use) {
  testing::internal::CaptureStderr();
  ConfigureLog({.level = level});
  {
    TestServer server(std::move(options));
    use(server);
  }
  ConfigureLog({.level = LogLevel::kOff});
  return testing::internal::GetCapturedStderr();
}

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_F(ErrorsTest, TheLogTellsWhyARequestWasRefused) {
  const auto use = [](TestServer& server) {
    Ask(server.port(), Chat(R"("top_p":2)", "the secret prompt"));
    Ask(server.port(), Chat(R"("grammar":"x")"));
    Ask(server.port(), Get("/nothing"));
    Ask(server.port(), Chat(R"("stream":true)", "REFUSE"));
    Ask(server.port(), Chat(""));
  };
  std::string log = LogOf({}, LogLevel::kInfo, use);
  for (const char* part :
       {" W request id=", "status=400", " code=invalid_value param=top_p",
        " code=unsupported_parameter param=grammar", "path=/nothing status=404",
        " code=route_not_found", " code=invalid_value param=messages", "status=200"}) {
    EXPECT_THAT(log, testing::HasSubstr(part));
  }
  EXPECT_THAT(log, testing::Not(testing::HasSubstr("secret")));
  EXPECT_EQ(Count(log, "\n"), 5u);
  // Refusals are warnings.
  log = LogOf({}, LogLevel::kWarning, use);
  EXPECT_EQ(Count(log, "\n"), 4u);
}

TEST_F(ErrorsTest, TheLogTellsWhatEndsAStream) {
  TestServerOptions failing;
  failing.engine.fails = true;
  const std::string log = LogOf(std::move(failing), LogLevel::kInfo, [](TestServer& server) {
    Ask(server.port(), Chat(R"("stream":true)"));
  });
  EXPECT_THAT(log, testing::HasSubstr(" status=200 "));
  EXPECT_THAT(log, testing::HasSubstr(" code=io"));
}

TEST_F(ErrorsTest, TheLogAloneTellsWhichFileFailed) {
  TestServerOptions failing;
  failing.engine.fails = true;
  failing.engine.providers.prefix_cache = [] { return cache::PrefixCounters(); };
  failing.http.limits.log_burst = 0;
  const std::vector<std::string> requests = {
      Post(kChat, kHi, "x-request-id: one\r\n"), Post(kChat, kHiStream, "x-request-id: two\r\n"),
      Post("/v1/completions", R"({"prompt":"a"})", "x-request-id: three\r\n"),
      Post("/v1/cache/warm_prefix", R"({"text":"a"})", "x-request-id: four\r\n")};
  const std::string log = LogOf(std::move(failing), LogLevel::kInfo, [&](TestServer& server) {
    for (const std::string& request : requests) {
      const std::string body = Ask(server.port(), request).body;
      EXPECT_THAT(body, testing::Not(testing::HasSubstr("/srv"))) << request;
      EXPECT_THAT(body, testing::HasSubstr("\"request_id\":\"")) << request;
    }
  });
  EXPECT_EQ(Count(log, "detail=\"'/srv/model/experts.bin' cannot be read: the disk is gone\""), 4u)
      << log;
  for (const char* id : {"one", "two", "three", "four"}) {
    EXPECT_EQ(Count(log, std::string("request id=") + id + " "), 1u) << log;
  }
}

TEST_F(ErrorsTest, AClientCannotFillTheLog) {
  TestServerOptions options;
  options.http.limits.log_burst = 5;
  options.http.limits.log_interval = std::chrono::hours(1);
  const std::string log = LogOf(std::move(options), LogLevel::kInfo, [](TestServer& server) {
    TestClient client(server.port());
    for (int i = 0; i < 50; ++i) {
      client.Send(Get("/nothing"));
      EXPECT_EQ(client.Read().status, 404);
      client.Send(Get("/livez"));
      EXPECT_EQ(client.Read().status, 200);
    }
    // Generations cost something; what is left out hides none of them.
    for (int i = 0; i < 10; ++i) Ask(server.port(), Chat(""));
  });
  EXPECT_EQ(Count(log, "status=404"), 5u);
  EXPECT_EQ(Count(log, "path=/livez status=200"), 5u);
  EXPECT_EQ(Count(log, "path=/v1/chat/completions status=200"), 10u);
}

}  // namespace
}  // namespace mach::server
