// What tests of endpoints share.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "json/parse.h"
#include "json/write.h"
#include "server/test_client.h"
#include "server/test_server.h"

namespace mach::server {

// The value at a path of keys and (one-digit) indices; null where there is none.
inline json::Value At(const json::Value& value, std::initializer_list<std::string_view> path) {
  const json::Value* at = &value;
  for (const std::string_view key : path) {
    if (at->is_array()) {
      const auto index = static_cast<size_t>(key[0] - '0');
      if (index >= at->AsArray().size()) return {};
      at = &at->AsArray()[index];
    } else {
      at = at->Find(key);
    }
    if (at == nullptr) return {};
  }
  return *at;
}

inline std::string Text(const json::Value& value) { return json::Write(value); }

class ApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ConfigureLog({.level = LogLevel::kOff}); }

  static TestServerOptions Saying(std::string text) {
    TestServerOptions options;
    options.engine.script = [text = std::move(text)](const engine::Request&) {
      return engine::ScriptTokens(text);
    };
    return options;
  }

  // The body of an answer of status 200.
  static json::Value Answer(TestServer& server, std::string_view path, std::string_view body) {
    return Answer(server.port(), path, body);
  }
  static json::Value Answer(uint16_t port, std::string_view path, std::string_view body) {
    const RawResponse response = Ask(port, Post(path, body));
    EXPECT_EQ(response.status, 200) << response.body;
    return response.Json();
  }

  // The events of a stream that ends with [DONE].
  static std::vector<json::Value> Events(TestServer& server, std::string_view path,
                                         std::string_view body) {
    return Events(server.port(), path, body);
  }
  static std::vector<json::Value> Events(uint16_t port, std::string_view path,
                                         std::string_view body) {
    const RawResponse response = Ask(port, Post(path, body));
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<json::Value> events;
    const std::vector<std::string> data = SseData(response.body);
    EXPECT_FALSE(data.empty());
    for (size_t i = 0; i + 1 < data.size(); ++i) {
      auto value = json::Parse(data[i]);
      EXPECT_TRUE(value.ok()) << data[i];
      if (value.ok()) events.push_back(*std::move(value));
    }
    if (!data.empty()) {
      EXPECT_EQ(data.back(), "[DONE]");
    }
    return events;
  }
};

}  // namespace mach::server
