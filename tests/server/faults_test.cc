// Exceptions in handlers, replies and decoders: one request ends, with an answer and a line.
#include <new>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"
#include "server/protocol/token_channel.h"

namespace mach::server {
namespace {

using testing::HasSubstr;
using testing::Not;

enum class FaultAt : unsigned char { kStart, kFirstTake, kTakeInStream, kPing, kSummary };

class FaultyReply final : public Reply {
 public:
  FaultyReply(FaultAt at, std::atomic<int>& alive) : at_(at), alive_(alive) { ++alive_; }
  ~FaultyReply() override { --alive_; }

  void Start(std::function<void()> wake) override {
    if (at_ == FaultAt::kStart) throw std::bad_alloc();
    wake_ = std::move(wake);
    wake_();
  }
  ReplyStep Take() override {
    if (at_ == FaultAt::kFirstTake) throw std::runtime_error("'/srv/x' is odd");
    ReplyStep step;
    if (taken_++ == 0) {
      step.head.emplace();
      step.head->streaming = true;
      step.bytes = "data: 1\n\n";
      wake_();
    } else if (at_ == FaultAt::kTakeInStream) {
      throw std::bad_alloc();
    } else if (at_ == FaultAt::kSummary) {
      step.done = true;
    }
    return step;
  }
  void Abort(const ApiError&) override {}
  std::string Ping() override { throw 1; }
  std::optional<std::chrono::milliseconds> PingInterval() const override {
    return std::chrono::milliseconds(1);
  }
  std::string Summary() const override {
    if (at_ == FaultAt::kSummary) throw std::bad_alloc();
    return " x=1";
  }

 private:
  const FaultAt at_;
  std::atomic<int>& alive_;
  std::function<void()> wake_;
  int taken_ = 0;
};

// Is whole when the client's last byte has long been there.
class SlowReply final : public Reply {
 public:
  void Start(std::function<void()> wake) override { wake(); }
  ReplyStep Take() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ReplyStep step;
    step.head.emplace();
    step.done = true;
    return step;
  }
  void Abort(const ApiError&) override {}
  std::string Ping() override { return ""; }
  std::optional<std::chrono::milliseconds> PingInterval() const override { return {}; }
  std::string Summary() const override { return " x=1"; }
};

// A server over routes of the test's own.
class RoutedServer {
 public:
  explicit RoutedServer(const Router& router) {
    HttpServerOptions options;
    options.port = 0;
    auto server = HttpServer::Listen(std::move(options), router);
    MACH_CHECK(server.ok());
    server_ = *std::move(server);
    thread_ = std::thread([this] { server_->Run(); });
  }
  ~RoutedServer() {
    server_->StopNow();
    thread_.join();
  }
  uint16_t port() const { return server_->port(); }

 private:
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

class FaultsTest : public ApiTest {
 protected:
  void SetUp() override {
    testing::internal::CaptureStderr();
    ConfigureLog({.level = LogLevel::kWarning});
  }
  void TearDown() override { ConfigureLog({.level = LogLevel::kOff}); }

  template <class Handle>
  void Add(std::string path, RunsOn runs_on, Handle handle) {
    router_.Add({.method = "GET",
                 .pattern = std::move(path),
                 .runs_on = runs_on,
                 .handle = [handle](const HttpRequest&, const std::string&) -> HandlerResult {
                   return handle();
                 }});
  }
  void AddReply(std::string path, FaultAt at) {
    Add(std::move(path), RunsOn::kLoop,
        [this, at] { return std::make_unique<FaultyReply>(at, alive_); });
  }

  Router router_;
  std::atomic<int> alive_{0};
};

TEST_F(FaultsTest, OfHandlersAreAnswers) {
  for (const RunsOn where : {RunsOn::kLoop, RunsOn::kWorker}) {
    const std::string prefix = where == RunsOn::kLoop ? "/loop" : "/worker";
    Add(prefix + "/memory", where, []() -> HttpResponse { throw std::bad_alloc(); });
    Add(prefix + "/other", where,
        []() -> HttpResponse { throw std::runtime_error("'/srv/x' is odd"); });
    Add(prefix + "/unknown", where, []() -> HttpResponse { throw 1; });
  }
  {
    RoutedServer server(router_);
    TestClient client(server.port());
    for (const std::string where : {"/loop", "/worker"}) {
      for (const auto& [path, code] :
           {std::pair{"/memory", "no_memory"}, {"/other", "internal"}, {"/unknown", "internal"}}) {
        client.Send(Get(where + path, "x-request-id: the-id\r\n"));
        const RawResponse response = client.Read();
        EXPECT_EQ(response.status, 500) << where << path;
        EXPECT_EQ(response.ErrorCode(), code) << where << path;
        EXPECT_EQ(response.headers.at("connection"), "keep-alive");
        EXPECT_THAT(response.body, HasSubstr(R"("request_id":"the-id")"));
        EXPECT_THAT(response.body, Not(HasSubstr("/srv")));
      }
    }
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr(" E request id=the-id "));
  EXPECT_THAT(log, HasSubstr("code=no_memory detail=\""));
  EXPECT_THAT(log, HasSubstr("code=internal detail=\"unexpected exception: '/srv/x' is odd"));
}

// The end of input is seen once, beside the answer: what comes after must not wait for more.
TEST_F(FaultsTest, RequestsThatEndAmidTheirHeadAreNotWaitedFor) {
  Add("/slow", RunsOn::kLoop, [] { return std::make_unique<SlowReply>(); });
  testing::internal::GetCapturedStderr();
  RoutedServer server(router_);
  for (const char* begun : {"", "G", "GET /slow HTTP/1.1\r\nHost: localhost\r\n"}) {
    TestClient client(server.port());
    client.Send(Get("/slow") + begun);
    client.EndInput();
    EXPECT_EQ(client.ReadStatuses(), std::vector<int>{200}) << begun;  // and no 408
  }
}

TEST_F(FaultsTest, OfRepliesEndTheConnection) {
  AddReply("/start", FaultAt::kStart);
  AddReply("/first", FaultAt::kFirstTake);
  AddReply("/later", FaultAt::kTakeInStream);
  AddReply("/ping", FaultAt::kPing);
  AddReply("/summary", FaultAt::kSummary);
  {
    RoutedServer server(router_);
    // Before the head the client gets the reason.
    for (const auto& [path, code] : {std::pair{"/start", "no_memory"}, {"/first", "internal"}}) {
      TestClient client(server.port());
      client.Send(Get(path) + Get("/start"));
      const RawResponse response = client.Read();
      EXPECT_EQ(response.status, 500) << path;
      EXPECT_EQ(response.ErrorCode(), code) << path;
      EXPECT_EQ(response.headers.at("connection"), "close") << path;
      EXPECT_EQ(client.Read().status, 0) << path;
    }
    // After it, an answer without its end.
    for (const char* path : {"/later", "/ping"}) {
      TestClient client(server.port());
      client.Send(Get(path));
      const RawResponse response = client.Read();
      EXPECT_EQ(response.status, 200) << path;
      EXPECT_EQ(response.body, "data: 1\n\n") << path;
      EXPECT_FALSE(response.complete) << path;
      EXPECT_TRUE(client.AtEnd()) << path;
    }
    TestClient client(server.port());
    client.Send(Get("/summary"));
    EXPECT_TRUE(client.Read().complete);
    EXPECT_TRUE(client.AtEnd());
    EXPECT_EQ(alive_, 0);
  }
  const std::string log = testing::internal::GetCapturedStderr();
  for (const char* path : {"/start", "/first", "/later", "/ping", "/summary"}) {
    EXPECT_THAT(log, HasSubstr("path=" + std::string(path) + " status=")) << path;
  }
}

TEST_F(FaultsTest, OfAGenerationFreeItsSlot) {
  TestServerOptions options;
  options.engine.script = [](const engine::Request& request) {
    std::vector<TokenId> tokens = engine::ScriptTokens("Hi");
    if (request.prompt.size() > 3) tokens.push_back(engine::kScriptFault);
    tokens.insert(tokens.end(), 100'000, 'a');
    return tokens;
  };
  options.engine.context_tokens = 1'000'000;
  {
    TestServer server(std::move(options));
    const std::string rest = R"("max_tokens":2,"messages":[{"role":"user","content":"hi"}]})";
    for (const bool stream : {false, true}) {
      TestClient client(server.port());
      client.Send(Post(kChat, std::string(stream ? R"({"stream":true,)" : "{") +
                                  R"("messages":[{"role":"user","content":"hello"}]})"));
      const RawResponse response = client.Read();
      EXPECT_EQ(response.status, stream && response.ErrorCode().empty() ? 200 : 500);
      EXPECT_EQ(response.complete, response.status == 500);
      EXPECT_TRUE(client.AtEnd());
      EXPECT_TRUE(Eventually([&] { return server.engine().running() == 0; }));
      EXPECT_EQ(Ask(server.port(), Post(kChat, "{" + rest)).status, 200);
    }
    // A template that runs out of memory.
    const RawResponse exhausted =
        Ask(server.port(), Post(kChat, R"({"messages":[{"role":"user","content":"EXHAUST"}]})"));
    EXPECT_EQ(exhausted.status, 500);
    EXPECT_EQ(exhausted.ErrorCode(), "no_memory");
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("code=no_memory"));
}

// The answer is made on the thread that has loaded the model.
TEST_F(FaultsTest, OfAHeldRequestLeaveTheLoaderAlone) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  TestClient client(server.port());
  client.Send(Post(kChat, R"({"stream":true,"messages":[{"role":"user","content":"EXHAUST"}]})"));
  ASSERT_NE(client.ReadUntil(": loading"), "");
  server.Load();
  EXPECT_THAT(client.Read().body, HasSubstr(R"("code":"no_memory")"));
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi)).status, 200);
  testing::internal::GetCapturedStderr();
}

TEST(TokenChannel, ThrowsNothingIntoTheEngine) {
  bool full = true;
  TokenChannel channel([&] {
    if (full) throw std::bad_alloc();
  });
  channel.OnToken({});
  EXPECT_TRUE(channel.Take().lost);
  // A text with a gap is none: what comes later is not kept, and the reader is told again.
  full = false;
  channel.OnToken({});
  channel.OnDone(engine::FinishReason::kStop, {});
  const TokenChannel::Batch batch = channel.Take();
  EXPECT_TRUE(batch.lost && batch.tokens.empty() && batch.end);
}

}  // namespace
}  // namespace mach::server
