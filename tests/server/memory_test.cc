// What requests hold is bounded and counted: bodies from their first byte, what is made of them,
// answers.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr size_t kMebibyte = size_t{1} << 20;
constexpr size_t kBudget = 32 * kMebibyte;

std::string Repeated(std::string_view what, size_t bytes) {
  std::string text;
  text.reserve(bytes + what.size());
  while (text.size() < bytes) text += what;
  return text;
}

// A head that promises a body of so many bytes.
std::string PostHead(std::string_view path, size_t body_bytes) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body_bytes) + "\r\n\r\n";
}

class RequestMemory : public ApiTest {
 protected:
  TestServerOptions Bounded(TestServerOptions options = {}) {
    options.http.memory = ledger_;
    options.engine.context_tokens = 100 * kMebibyte;
    return options;
  }
  size_t Reserved() const { return ledger_->reserved(MemoryTag::kRequests); }

  const std::shared_ptr<MemoryLedger> ledger_ = std::make_shared<MemoryLedger>(kBudget);
};

TEST_F(RequestMemory, UnfinishedBodiesFillTheirBudgetAndNoMore) {
  TestServer server(Bounded());
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 12; ++i) {
    auto client = std::make_unique<TestClient>(server.port());
    client->Send(PostHead(kChat, 30 * kMebibyte) + Repeated("x", 4 * kMebibyte));
    clients.push_back(std::move(client));
  }
  EXPECT_TRUE(Eventually([&] { return Reserved() >= kBudget / 2; }));
  // The last ones found no room; short requests still do.
  const RawResponse late = clients.back()->Read();
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.ErrorCode(), "memory_busy");
  EXPECT_EQ(late.headers.at("retry-after"), "5");
  EXPECT_EQ(late.headers.at("connection"), "close");
  EXPECT_LE(Reserved(), kBudget);
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return Reserved() == 0; }));
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi)).status, 200);
}

TEST_F(RequestMemory, BodiesThatOnlyPromiseHoldNothing) {
  TestServer server(Bounded());
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->Send(PostHead(kChat, 32 * kMebibyte) + "{");
  }
  EXPECT_EQ(Ask(server.port(), Post(kChat, kHi)).status, 200);
  EXPECT_LT(Reserved(), 8 * kMebibyte);
}

TEST_F(RequestMemory, OneRequestHasItsShare) {
  TestServer server(Bounded());
  // As a body of its own, and as what is made of a body.
  const std::string long_text =
      R"({"messages":[{"role":"user","content":")" + Repeated("word ", 28 * kMebibyte) + "\"}]}";
  for (const std::string& body :
       {long_text, R"({"messages":[)" + Repeated("[],", 6 * kMebibyte) + "[]]}",
        R"({"prompt":[)" + Repeated("1,", 6 * kMebibyte) + "1]}"}) {
    const std::string_view path = body.starts_with("{\"p") ? "/v1/completions" : kChat;
    const RawResponse response = Ask(server.port(), Post(path, body));
    EXPECT_EQ(response.status, 413) << body.substr(0, 30);
    EXPECT_EQ(response.ErrorCode(), "request_too_large");
    EXPECT_THAT(response.body, HasSubstr("24.0 MiB"));
    EXPECT_TRUE(Eventually([&] { return Reserved() == 0; }));
  }
}

TEST_F(RequestMemory, WhatNobodyReadsIsNotKept) {
  TestServer server(Bounded());
  const std::string body = R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":1,"x":[)" +
                           Repeated("[],", 4 * kMebibyte) + "{\"messages\":[[]]}]}";
  const RawResponse response = Ask(server.port(), Post(kChat, body));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.at("x-mach-ignored-parameters"), "x");
  std::string many = R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":1)";
  for (int i = 0; i < 200'000; ++i) many += ",\"member" + std::to_string(i) + "\":[1,{\"a\":2}]";
  EXPECT_EQ(Ask(server.port(), Post(kChat, many + "}")).status, 200);
}

TEST_F(RequestMemory, AnswersAreCounted) {
  TestServerOptions options = Bounded();
  options.engine.script = [](const engine::Request&) {
    return std::vector<TokenId>(200'000, TokenId{'a'});
  };
  TestServer server(std::move(options));
  const std::string rest = R"("logprobs":true,"messages":[{"role":"user","content":"hi"}]})";
  const RawResponse whole = Ask(server.port(), Post(kChat, "{" + rest));
  EXPECT_EQ(whole.status, 413);
  EXPECT_TRUE(Eventually([&] { return server.engine().running() == 0; }));
  // A stream holds a part at a time, however long it is.
  const RawResponse streamed = Ask(server.port(), Post(kChat, R"({"stream":true,)" + rest));
  EXPECT_EQ(streamed.status, 200);
  EXPECT_TRUE(streamed.complete);
  EXPECT_GT(streamed.body.size(), kBudget / 3);
  EXPECT_TRUE(Eventually([&] { return Reserved() == 0; }));
}

// The engine is faster than the client: what waits is the request's. A stream that has begun tells
// its error, or has no end where there is no memory for that either.
TEST_F(RequestMemory, WhatWaitsForASlowClientIsCounted) {
  const auto ledger = std::make_shared<MemoryLedger>(8 * kMebibyte);
  for (const bool stream : {true, false}) {
    TestServerOptions options = Bounded();
    options.http.memory = ledger;
    options.engine.script = [](const engine::Request&) {
      return std::vector<TokenId>(1'000'000, TokenId{'a'});
    };
    TestServer server(std::move(options));
    TestClient client(server.port());
    client.Send(Post(kChat, std::string(R"({"logprobs":true,"stream":)") +
                                (stream ? "true" : "false") +
                                R"(,"messages":[{"role":"user","content":"hi"}]})"));
    ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 1; }));
    ASSERT_TRUE(Eventually([&] { return server.engine().running() == 0; }));
    const RawResponse response = client.Read();
    EXPECT_EQ(response.status, stream ? 200 : 413);
    EXPECT_TRUE(!response.complete ||
                response.body.find(R"("code":"request_too_large")") != std::string::npos);
    EXPECT_TRUE(stream || response.complete);
    EXPECT_TRUE(Eventually([&] { return ledger->reserved() == 0; }));
  }
}

// Wherever the memory ends, in whatever is being done, there is an answer and nothing stays behind.
TEST_F(RequestMemory, EveryEndOfMemoryIsAnAnswer) {
  const std::string text = Repeated("some words ", 200'000);
  const std::string chat =
      R"("messages":[{"role":"user","content":")" + text + R"("}],"logprobs":true,"n":2,)" +
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]})";
  const std::pair<std::string_view, std::string> requests[] = {
      {kChat, "{" + chat},
      {kChat, R"({"stream":true,)" + chat},
      {"/v1/completions", R"({"echo":true,"prompt":[")" + text + R"(","b"]})"},
      {"/tokenize", R"({"with_pieces":true,"content":")" + text + "\"}"},
      {"/apply-template", "{" + chat}};
  std::map<int, int> statuses;
  for (size_t budget = 64 << 10; budget <= 48 * kMebibyte; budget += budget / 6) {
    const auto ledger = std::make_shared<MemoryLedger>(budget);
    TestServerOptions options = Bounded();
    options.http.memory = ledger;
    options.engine.script = [](const engine::Request&) {
      return engine::ScriptTokens(
          std::string(20'000, 'a') +
          "<tool_call><function=f><parameter=x>1</parameter></function></tool_call>");
    };
    TestServer server(std::move(options));
    for (const auto& [path, body] : requests) {
      const RawResponse response = Ask(server.port(), Post(path, body));
      EXPECT_THAT(response.status, AnyOf(200, 413, 503)) << path << " " << budget;
      ++statuses[response.status];
      EXPECT_TRUE(Eventually([&] { return ledger->reserved() == 0; })) << path << " " << budget;
      EXPECT_TRUE(Eventually([&] { return server.engine().running() == 0; }));
    }
  }
  EXPECT_GT(statuses[200], 20);
  EXPECT_GT(statuses[413], 20);
}

TEST_F(RequestMemory, WhatAHeldRequestTakesIsItsOwn) {
  TestServerOptions options = Bounded();
  options.loaded = false;
  TestServer server(std::move(options));
  TestClient client(server.port());
  client.Send(Post(kChat, R"({"stream":true,"messages":[{"role":"user","content":")" +
                              Repeated("word ", kMebibyte) + "\"}]}"));
  ASSERT_NE(client.ReadUntil(": loading"), "");
  EXPECT_GE(Reserved(), kMebibyte);
  server.Load();
  EXPECT_THAT(client.ReadUntil("[DONE]"), HasSubstr("Hello"));
  EXPECT_TRUE(Eventually([&] { return Reserved() == 0; }));
}

}  // namespace
}  // namespace mach::server
