#include "server/http/security.h"

#include <gtest/gtest.h>

namespace mach::server {
namespace {

TEST(ApiKeys, AcceptsThoseAddedAlone) {
  ApiKeys keys;
  EXPECT_TRUE(keys.empty());
  EXPECT_FALSE(keys.Accepts(""));
  keys.Add("secret-one");
  keys.Add("secret-two, which is longer than a digest of 32 bytes");
  EXPECT_EQ(keys.size(), 2u);
  EXPECT_TRUE(keys.Accepts("secret-one"));
  EXPECT_TRUE(keys.Accepts("secret-two, which is longer than a digest of 32 bytes"));
  for (const char* other : {"", "s", "secret-on", "secret-onf", "secret-one ", "Secret-one",
                            "secret-onesecret-one", "secret-two"}) {
    EXPECT_FALSE(keys.Accepts(other)) << other;
  }
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
