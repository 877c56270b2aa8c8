// Handlers on worker threads: who waits for whom, and when they stop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::AnyOf;

// A body that is not short (Limits::short_body_bytes).
std::string LongBody() { return std::string(size_t{1} << 20, 'x'); }

// Handlers of the test's own, which wait until they are told to go on or to stop.
class WorkersTest : public ApiTest {
 protected:
  void SetUp() override {
    router_.Add({.method = "POST",
                 .pattern = "/slow",
                 .runs_on = RunsOn::kWorker,
                 .handle = [this](const HttpRequest& request, const std::string&) {
                   ++running_;
                   const bool released =
                       Eventually([&] { return released_.load() || request.cancelled->load(); });
                   --running_;
                   if (request.cancelled->load()) ++stopped_;
                   return HttpResponse{.status = released ? 200 : 500};
                 }});
    router_.Add({.method = "POST",
                 .pattern = "/quick",
                 .runs_on = RunsOn::kWorker,
                 .handle = [](const HttpRequest&, const std::string&) { return HttpResponse{}; }});
  }
  void Listen(std::chrono::milliseconds drain = std::chrono::milliseconds(30'000)) {
    HttpServerOptions options;
    options.port = 0;
    options.limits.drain_timeout = drain;
    options.limits.half_closed = half_closed_;
    auto server = HttpServer::Listen(std::move(options), router_);
    MACH_CHECK(server.ok());
    server_ = *std::move(server);
    thread_ = std::thread([this] { clean_ = server_->Run(); });
  }
  void TearDown() override {
    if (thread_.joinable()) {
      server_->StopNow();
      thread_.join();
    }
  }

  Router router_;
  std::chrono::milliseconds half_closed_{20};
  std::atomic<bool> released_{false};
  std::atomic<int> running_{0}, stopped_{0};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  bool clean_ = true;
};

TEST_F(WorkersTest, LongBodiesDoNotKeepShortOnesWaiting) {
  Listen();
  const std::string body = LongBody();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->Send(Post("/slow", body));
  }
  EXPECT_TRUE(Eventually([&] { return running_ == 1; }));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Ask(server_->port(), Post("/quick", "x")).status, 200);
  }
  EXPECT_EQ(running_, 1);
  released_ = true;
  for (const auto& client : clients) EXPECT_EQ(client->Read().status, 200);
}

TEST_F(WorkersTest, AClientThatLeavesStopsItsHandler) {
  Listen();
  for (const bool reset : {false, true}) {
    const int before = stopped_;
    TestClient client(server_->port());
    TestClient waiting(server_->port());
    client.Send(Post("/slow", "x"));
    EXPECT_TRUE(Eventually([&] { return running_ == 1; }));
    reset ? client.Reset() : client.Close();
    EXPECT_TRUE(Eventually([&] { return stopped_ == before + 1; }));
  }
  // What had not begun never does.
  TestClient first(server_->port());
  first.Send(Post("/slow", LongBody()));
  EXPECT_TRUE(Eventually([&] { return running_ == 1; }));
  const int before = stopped_;
  {
    TestClient second(server_->port());
    second.Send(Post("/slow", LongBody()));
    EXPECT_TRUE(Eventually([&] { return server_->connections() == 2; }));
  }
  released_ = true;
  EXPECT_EQ(first.Read().status, 200);
  EXPECT_EQ(Ask(server_->port(), Post("/quick", LongBody())).status, 200);
  EXPECT_LE(stopped_, before + 1);
}

// A client that has said all it wants to say may still want to hear the answers.
TEST_F(WorkersTest, AClientThatEndsItsInputGetsItsAnswers) {
  half_closed_ = std::chrono::milliseconds(30'000);
  Listen();
  for (int i = 0; i < 50; ++i) {
    TestClient client(server_->port());
    client.Send(Post("/quick", "x") + Post("/quick", "y") + Post("/quick", "z") + "\r\n\r\n");
    if (i % 2 == 1) std::this_thread::sleep_for(std::chrono::microseconds(40 * i));
    client.EndInput();
    EXPECT_EQ(client.ReadStatuses(), std::vector<int>(3, 200));
  }
}

TEST_F(WorkersTest, TemplatesAndTokenizersAreStoppedToo) {
  TestServerOptions options;
  options.engine.providers.prefix_cache = [] { return cache::PrefixCounters(); };
  options.http.limits.half_closed = std::chrono::milliseconds(20);
  TestServer server(std::move(options));
  const std::string chat = R"({"messages":[{"role":"user","content":"WAIT"}]})";
  const std::pair<std::string_view, std::string> requests[] = {
      {kChat, chat},
      {"/v1/completions", R"({"prompt":"WAIT"})"},
      {"/tokenize", chat},
      {"/tokenize", R"({"content":"WAIT"})"},
      {"/apply-template", chat},
      {"/v1/cache/warm_prefix", chat},
      {"/v1/cache/warm_prefix", R"({"text":"WAIT"})"}};
  int number = 0;
  for (const auto& [path, body] : requests) {
    TestClient client(server.port());
    client.Send(Post(path, body));
    ++number;
    EXPECT_TRUE(Eventually([&] { return server.codec().waits() == number; })) << path << body;
    EXPECT_EQ(server.codec().cancelled(), number - 1) << path << body;
    client.Close();
    EXPECT_TRUE(Eventually([&] { return server.codec().cancelled() == number; })) << path << body;
  }
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi)).status, 200);
}

TEST_F(WorkersTest, AShutdownStopsHandlersAfterItsTime) {
  Listen(std::chrono::milliseconds(50));
  TestClient client(server_->port());
  TestClient queued(server_->port());
  client.Send(Post("/slow", LongBody()));
  EXPECT_TRUE(Eventually([&] { return running_ == 1; }));
  queued.Send(Post("/slow", LongBody()));
  server_->BeginShutdown();
  thread_.join();
  EXPECT_FALSE(clean_);
  EXPECT_GE(stopped_, 1);
  EXPECT_THAT(queued.Read().status, AnyOf(0, 503));
}

}  // namespace
}  // namespace mach::server
