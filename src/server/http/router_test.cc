#include "server/http/router.h"

#include <gtest/gtest.h>

namespace mach::server {
namespace {

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

}  // namespace
}  // namespace mach::server
