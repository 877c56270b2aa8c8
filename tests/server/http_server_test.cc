// The HTTP core, over loopback: limits, errors, framing, timeouts, shutdown.
#include "server/http/http_server.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "server/test_client.h"
#include "server/test_server.h"

namespace mach::server {
namespace {

using std::chrono::milliseconds;

class HttpServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ConfigureLog({.level = LogLevel::kOff}); }
};

TEST_F(HttpServerTest, ServesEveryRouteWithAndWithoutItsPrefix) {
  TestServer server;
  for (const char* target :
       {"/health", "/v1/health", "/livez", "/readyz", "/version", "/v1/models", "/models",
        "/v1/models/", "/models/scripted/model", "/v1/models/scripted%2Fmodel", "/v1/models/model",
        "//health", "//v1//models//", "http://localhost/health?x=1"}) {
    const RawResponse response = Ask(server.port(), Get(target));
    EXPECT_EQ(response.status, 200) << target;
    EXPECT_EQ(response.headers.at("content-type"), "application/json") << target;
    EXPECT_TRUE(response.complete) << target;
  }
  EXPECT_EQ(Ask(server.port(), Post("/chat/completions", kHi)).status, 200);
}

TEST_F(HttpServerTest, AnswersUnknownRoutesAndMethodsInTheEnvelope) {
  TestServer server;
  const RawResponse missing = Ask(server.port(), Get("/v1/nothing"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.ErrorCode(), "route_not_found");
  const RawResponse model = Ask(server.port(), Get("/v1/models/other"));
  EXPECT_EQ(model.status, 404);
  EXPECT_EQ(model.ErrorCode(), "model_not_found");
  const RawResponse method = Ask(server.port(), Get(kChat));
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(Ask(server.port(), "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 404);
  EXPECT_EQ(Ask(server.port(), "nonsense\r\n\r\n").status, 400);
}

TEST_F(HttpServerTest, HeadHasTheHeadersOfGetWithoutABody) {
  TestServer server;
  TestClient client(server.port());
  client.Send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const RawResponse head = client.Read(true);
  EXPECT_EQ(head.status, 200);
  client.Send(Get("/v1/models"));
  const RawResponse get = client.Read();  // would be out of step, had a body come
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(get.body.size()));
}

TEST_F(HttpServerTest, OptionsAnswersPreflightsOfAllowedOrigins) {
  TestServer server;
  const auto preflight = [&](std::string_view origin) {
    return Ask(server.port(),
               "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
               "Access-Control-Request-Method: POST\r\n"
               "Access-Control-Request-Headers: content-type\r\nOrigin: " +
                   std::string(origin) + "\r\n\r\n");
  };
  const RawResponse allowed = preflight("http://localhost:3000");
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "http://localhost:3000");
  EXPECT_EQ(allowed.headers.at("access-control-allow-headers"), "content-type");
  EXPECT_EQ(allowed.headers.at("access-control-max-age"), "600");
  EXPECT_EQ(allowed.headers.at("vary"), "Origin");
  EXPECT_FALSE(allowed.headers.contains("access-control-allow-credentials"));
  const RawResponse foreign = preflight("https://evil.example");
  EXPECT_EQ(foreign.status, 403);
  EXPECT_EQ(foreign.ErrorCode(), "origin_not_allowed");
  EXPECT_FALSE(foreign.headers.contains("access-control-allow-origin"));
}

TEST_F(HttpServerTest, RefusesForeignHostsAndOrigins) {
  TestServer server;
  for (const char* host : {"evil.example", "localhost.evil.example", "10.1.2.3", "127.evil.org"}) {
    const RawResponse response =
        Ask(server.port(), "GET /health HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    EXPECT_EQ(response.status, 403) << host;
    EXPECT_EQ(response.ErrorCode(), "host_not_allowed");
  }
  for (const char* host : {"127.0.0.1:8080", "localhost", "[::1]:80", "a.localhost:1"}) {
    EXPECT_EQ(Ask(server.port(), "GET /health HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n")
                  .status,
              200)
        << host;
  }
  EXPECT_EQ(Ask(server.port(), "GET /health HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(Ask(server.port(), Get("/health", "Origin: https://evil.example\r\n")).status, 403);
  EXPECT_EQ(Ask(server.port(), Get("/health", "Origin: null\r\n")).status, 403);
}

TEST_F(HttpServerTest, AsksForAKeyWhereThereIsOne) {
  TestServerOptions options;
  options.http.security.keys.Add("secret-one");
  options.http.security.keys.Add("secret-two");
  TestServer server(std::move(options));
  const RawResponse without = Ask(server.port(), Post(kChat, kHi));
  EXPECT_EQ(without.status, 401);
  EXPECT_EQ(without.ErrorCode(), "invalid_api_key");
  EXPECT_EQ(without.headers.at("www-authenticate"), "Bearer");
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi, "Authorization: Bearer secret\r\n")).status, 401);
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi, "Authorization: Bearer secret-two\r\n")).status,
            200);
  EXPECT_EQ(Ask(server.port(), Get("/v1/models", "x-api-key: secret-one\r\n")).status, 200);
  EXPECT_EQ(Ask(server.port(), Get("/v1/models")).status, 401);
  EXPECT_EQ(Ask(server.port(), Get("/health")).status, 200);
}

TEST_F(HttpServerTest, DemandsJson) {
  TestServer server;
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Length: " +
      std::to_string(kHi.size()) + "\r\n";
  const std::string body(kHi);
  for (const char* type : {"", "Content-Type: text/plain\r\n",
                           "Content-Type: application/x-www-form-urlencoded\r\n"}) {
    const RawResponse response = Ask(server.port(), head + type + "\r\n" + body);
    EXPECT_EQ(response.status, 415) << type;
    EXPECT_EQ(response.ErrorCode(), "unsupported_media_type");
  }
  EXPECT_EQ(
      Ask(server.port(), head + "Content-Type: Application/JSON ; charset=utf-8\r\n\r\n" + body)
          .status,
      200);
  EXPECT_EQ(Ask(server.port(), head +
                                   "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
                                   "\r\n" +
                                   body)
                .status,
            415);
}

TEST_F(HttpServerTest, KeepsConnectionsAndTakesPipelinedRequests) {
  TestServer server;
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.Send(Post(kChat, kHi));
    const RawResponse response = client.Read();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("connection"), "keep-alive");
  }
  client.Send(Post(kChat, kHiStream) + Get("/health") + Post(kChat, kHi));
  EXPECT_EQ(client.Read().headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(client.Read().body, R"({"status":"ok","running":0,"queued":0,"max_queue":4})");
  EXPECT_EQ(client.Read().status, 200);
  // A refused request with a short body does not cost the connection.
  client.Send(Post("/v1/nothing", kHi) + Get("/health", "Connection: close\r\n"));
  EXPECT_EQ(client.Read().status, 404);
  const RawResponse last = client.Read();
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpServerTest, ClosesAfterAnHttp10StreamWithoutChunks) {
  TestServer server;
  TestClient client(server.port());
  client.Send(
      "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(kHiStream.size()) + "\r\n\r\n" + std::string(kHiStream));
  const RawResponse response = client.Read();
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(SseData(response.body).back(), "[DONE]");
}

TEST_F(HttpServerTest, SendsStreamsInChunks) {
  TestServer server;
  TestClient client(server.port());
  client.Send(Post(kChat, kHiStream, "Connection: close\r\n"));
  const std::string answer = client.ReadUntil("\r\n0\r\n\r\n");
  size_t at = answer.find("\r\n\r\n");
  ASSERT_NE(at, std::string::npos);
  at += 4;
  std::string events;
  for (size_t left = 1; left > 0;) {
    const size_t line = answer.find("\r\n", at);
    const std::string size = answer.substr(at, line - at);
    EXPECT_THAT(size, testing::MatchesRegex("0|[1-9a-f][0-9a-f]*"));
    left = std::strtoul(size.c_str(), nullptr, 16);
    events += answer.substr(line + 2, left);
    at = line + 2 + left;
    ASSERT_EQ(answer.substr(at, 2), "\r\n");
    at += 2;
  }
  EXPECT_EQ(at, answer.size());
  EXPECT_TRUE(events.starts_with("data: {") && events.ends_with("data: [DONE]\n\n")) << events;
}

TEST_F(HttpServerTest, ReadsChunkedBodies) {
  TestServer server;
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string chunks;
  for (const char c : kHi) chunks += "1;ext=1\r\n" + std::string(1, c) + "\r\n";
  EXPECT_EQ(Ask(server.port(), head + chunks + "0\r\n\r\n").status, 200);
  const RawResponse bad = Ask(server.port(), head + "zz\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.ErrorCode(), "invalid_http");
}

TEST_F(HttpServerTest, AsksForTheBodyOnExpectation) {
  TestServer server;
  TestClient client(server.port());
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nExpect: 100-continue\r\n"
      "Content-Length: " +
      std::to_string(kHi.size()) + "\r\n\r\n";
  client.Send(head);
  EXPECT_NE(client.ReadUntil("100 Continue\r\n\r\n"), "");
  client.Send(kHi);
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(HttpServerTest, EnforcesItsLimits) {
  TestServerOptions options;
  options.http.limits.body_bytes = 1000;
  options.http.limits.header_bytes = 2000;
  options.http.limits.header_fields = 10;
  options.http.limits.target_bytes = 100;
  TestServer server(std::move(options));

  // By the announced length, before a byte of the body is there.
  const RawResponse announced =
      Ask(server.port(),
          "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
          "application/json\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(announced.status, 413);
  EXPECT_EQ(announced.ErrorCode(), "request_too_large");
  EXPECT_EQ(announced.headers.at("connection"), "close");
  // A client that is still sending gets to read the answer.
  const RawResponse sent = Ask(server.port(), Post(kChat, std::string(500'000, ' ')));
  EXPECT_EQ(sent.status, 413);
  // Without an announced length.
  const RawResponse chunked =
      Ask(server.port(),
          "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
          "application/json\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" +
              std::string(1024, ' ') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.status, 413);

  EXPECT_EQ(Ask(server.port(), Get("/health", "x: " + std::string(2000, 'a') + "\r\n")).status,
            431);
  std::string fields;
  for (int i = 0; i < 11; ++i) fields += "x" + std::to_string(i) + ": 1\r\n";
  EXPECT_EQ(Ask(server.port(), Get("/health", fields)).status, 431);
  const RawResponse uri = Ask(server.port(), Get("/health?" + std::string(100, 'a')));
  EXPECT_EQ(uri.status, 414);
  EXPECT_EQ(Ask(server.port(), Get("/health")).status, 200);
}

TEST_F(HttpServerTest, LimitsItsConnections) {
  TestServerOptions options;
  options.http.limits.connections = 2;
  TestServer server(std::move(options));
  {
    TestClient one(server.port());
    TestClient two(server.port());
    ASSERT_TRUE(Eventually([&] { return server.http().connections() == 2; }));
    TestClient three(server.port());
    const RawResponse refused = three.Read();
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.ErrorCode(), "too_many_connections");
    one.Send(Get("/health"));
    EXPECT_EQ(one.Read().status, 200);
  }
  ASSERT_TRUE(Eventually([&] { return server.http().connections() == 0; }));
  EXPECT_EQ(Ask(server.port(), Get("/health")).status, 200);
}

TEST_F(HttpServerTest, IdleConnectionsGiveWay) {
  TestServerOptions options;
  options.engine.hold_at = 0;
  options.http.limits.connections = 3;
  TestServer server(std::move(options));
  TestClient busy(server.port());
  busy.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  TestClient older(server.port());
  older.Send(Get("/health"));
  EXPECT_EQ(older.Read().status, 200);
  TestClient newer(server.port());
  newer.Send(Get("/health"));
  EXPECT_EQ(newer.Read().status, 200);

  TestClient next(server.port());
  next.Send(Get("/health"));
  EXPECT_EQ(next.Read().status, 200);
  EXPECT_TRUE(older.AtEnd());
  newer.Send(Get("/health"));  // which makes `next` the one that is idle for longer
  EXPECT_EQ(newer.Read().status, 200);

  // What has a request under way, or has not had the time to send one, stays.
  newer.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 2; }));
  TestClient fresh(server.port());
  EXPECT_TRUE(next.AtEnd());
  const RawResponse refused = TestClient(server.port()).Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.ErrorCode(), "too_many_connections");
  fresh.Send(Get("/health"));
  EXPECT_EQ(fresh.Read().status, 200);
  server.engine().Release();
  EXPECT_EQ(busy.Read().status, 200);
  EXPECT_EQ(newer.Read().status, 200);
}

TEST_F(HttpServerTest, GivesUpOnSlowClients) {
  TestServerOptions options;
  options.http.limits.header_timeout = milliseconds(50);
  options.http.limits.body_timeout = milliseconds(50);
  options.http.limits.idle_timeout = milliseconds(50);
  TestServer server(std::move(options));
  const RawResponse head = Ask(server.port(), "GET /health HTT");
  EXPECT_EQ(head.status, 408);
  EXPECT_EQ(head.ErrorCode(), "request_timeout");
  const RawResponse body =
      Ask(server.port(),
          "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
          "application/json\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(body.status, 408);
  TestClient idle(server.port());
  EXPECT_TRUE(idle.AtEnd());
}

TEST_F(HttpServerTest, NamesRequests) {
  TestServer server;
  EXPECT_EQ(
      Ask(server.port(), Get("/health", "x-request-id: abc-1.2_3\r\n")).headers.at("x-request-id"),
      "abc-1.2_3");
  const std::string made =
      Ask(server.port(), Get("/health", "x-request-id: a b\r\n")).headers.at("x-request-id");
  EXPECT_EQ(made.substr(0, 4), "req_");
  EXPECT_EQ(made.size(), 28u);
}

TEST_F(HttpServerTest, AnswersHealthWhileAGenerationRuns) {
  TestServerOptions options;
  options.engine.hold_at = 0;
  TestServer server(std::move(options));
  TestClient busy(server.port());
  busy.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  EXPECT_EQ(Ask(server.port(), Get("/health")).status, 200);
  server.engine().Release();
  EXPECT_EQ(busy.Read().status, 200);
}

TEST_F(HttpServerTest, SaysThatItIsLoading) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  const RawResponse health = Ask(server.port(), Get("/readyz"));
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.ErrorCode(), "loading");
  EXPECT_EQ(Ask(server.port(), Get("/livez")).status, 200);
  EXPECT_EQ(health.headers.at("retry-after"), "5");
  EXPECT_FALSE(health.headers.contains("x-should-retry"));
  server.service().SetLoadProgress("experts", 30, 100);
  const json::Value body = Ask(server.port(), Get("/health")).Json();
  EXPECT_EQ(body.Find("progress")->AsDouble(), 0.3);
  EXPECT_EQ(body.Find("stage")->AsString(), "experts");
  EXPECT_NE(body.Find("eta_s"), nullptr);
  server.Load();
  EXPECT_EQ(Ask(server.port(), Get("/readyz")).status, 200);
}

TEST_F(HttpServerTest, DrainsBeforeItEnds) {
  TestServerOptions options;
  options.engine.hold_at = 2;
  TestServer server(std::move(options));
  TestClient idle(server.port());
  idle.Send(Get("/health"));
  EXPECT_EQ(idle.Read().status, 200);
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, kHiStream));
  ASSERT_NE(streaming.ReadUntil(R"("content":"H)"), "");
  server.http().BeginShutdown();
  EXPECT_TRUE(idle.AtEnd());
  server.engine().Release();
  const RawResponse response = streaming.Read();
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(SseData(response.body).back(), "[DONE]");
  EXPECT_TRUE(server.Join());
}

TEST_F(HttpServerTest, CutsOffWhatTheDrainTimeoutFinds) {
  TestServerOptions options;
  options.engine.hold_at = 2;
  options.http.limits.drain_timeout = milliseconds(30);
  TestServer server(std::move(options));
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, kHiStream));
  ASSERT_NE(streaming.ReadUntil(R"("content":"H)"), "");
  TestClient whole(server.port());
  whole.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 2; }));
  server.http().BeginShutdown();
  const std::vector<std::string> data = SseData(streaming.Read().body);
  ASSERT_GE(data.size(), 2u);
  EXPECT_NE(data[data.size() - 2].find("\"draining\""), std::string::npos);
  EXPECT_EQ(data.back(), "[DONE]");
  EXPECT_EQ(whole.Read().status, 503);
  EXPECT_FALSE(server.Join());
}

TEST_F(HttpServerTest, StopsAtOnceWhenTold) {
  TestServerOptions options;
  options.engine.hold_at = 2;
  TestServer server(std::move(options));
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, kHiStream));
  ASSERT_NE(streaming.ReadUntil(R"("content":"H)"), "");
  server.http().StopNow();
  EXPECT_FALSE(server.Join());
  EXPECT_TRUE(Eventually([&] { return server.engine().cancelled() == 1; }));
}

TEST_F(HttpServerTest, ListensOnAnAddressInBrackets) {
  HttpServerOptions options;
  options.host = "[::1]";
  options.port = 0;
  const Router router;
  const auto server = HttpServer::Listen(options, router);
  // A machine without IPv6 says so; the name is never what is wrong.
  if (!server.ok()) {
    EXPECT_THAT(server.error().message, testing::HasSubstr("cannot listen on [::1]:0: "));
    EXPECT_THAT(server.error().message, testing::Not(testing::HasSubstr("not found")));
  }
}

TEST_F(HttpServerTest, SaysWhyItCannotListen) {
  TestServer server;
  HttpServerOptions options;
  options.port = server.port();
  const Router router;
  const auto second = HttpServer::Listen(options, router);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(std::to_string(server.port())), std::string::npos);
  EXPECT_NE(second.error().message.find("in use"), std::string::npos);
}

}  // namespace
}  // namespace mach::server
