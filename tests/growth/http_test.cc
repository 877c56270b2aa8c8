// What comes before a body is read, and bodies in chunks.
#include "server/http/http.h"

#include <gtest/gtest.h>

#include "base/printable.h"
#include "growth.h"
#include "server/http/chunked_body.h"
#include "server/http/framing.h"
#include "server/http/router.h"
#include "server/http/security.h"
#include "server/http/url.h"

namespace mach::growth {
namespace {

using namespace server;  // NOLINT: all of it is about the server

TEST(HttpGrowth, Section) {
  // In one piece and byte by byte.
  const auto row = [](std::string_view name, std::string (*make)(size_t n)) {
    ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
      return [text = make(n)] {
        SectionScanner whole(SectionScanner::Section::kHead);
        whole.Feed(text);
        SectionScanner bytewise(SectionScanner::Section::kHead);
        for (const char& byte : text) bytewise.Feed({&byte, 1});
        return whole.end() == text.size() && bytewise.end() == text.size();
      };
    });
  };
  row("fields",
      [](size_t n) { return "GET / HTTP/1.1\r\n" + Numbered(n, "A@: b\r\n", "") + "\r\n"; });
  row("a value", [](size_t n) { return "GET / HTTP/1.1\r\nA: " + Times(n, "b") + "\r\n\r\n"; });
  row("a name", [](size_t n) { return "GET / HTTP/1.1\r\n" + Times(n, "a") + ": b\r\n\r\n"; });
  row("empty lines in front", [](size_t n) { return Times(n, "\r\n") + "GET / HTTP/1.1\r\n\r\n"; });
}

TEST(HttpGrowth, ChunkedBody) {
  const auto row = [](std::string_view name, std::string (*make)(size_t n)) {
    ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
      return [text = make(n)] {
        std::string body;
        ChunkedBody whole(SIZE_MAX / 2, SIZE_MAX / 2);
        whole.Feed(text, body);
        ChunkedBody bytewise(SIZE_MAX / 2, SIZE_MAX / 2);
        for (const char& byte : text) bytewise.Feed({&byte, 1}, body);
        return whole.state() == ChunkedBody::State::kComplete &&
               bytewise.state() == ChunkedBody::State::kComplete;
      };
    });
  };
  row("chunks of a byte", [](size_t n) { return Times(n, "1\r\na\r\n") + "0\r\n\r\n"; });
  row("extensions", [](size_t n) { return Times(n, "1;a=b\r\na\r\n") + "0\r\n\r\n"; });
  row("an extension", [](size_t n) { return "1;" + Times(n, "a") + "\r\na\r\n0\r\n\r\n"; });
  row("trailers", [](size_t n) { return "0\r\n" + Numbered(n, "A@: b\r\n", "") + "\r\n"; });
}

HttpRequest WithHeaders(size_t n) {
  HttpRequest request;
  for (size_t i = 0; i < n; ++i) request.headers.push_back({"A" + std::to_string(i), "b"});
  return request;
}

TEST(HttpGrowth, Headers) {
  ExpectLinear("framing", kManyParts, [](size_t n) -> Work {
    HttpRequest request = WithHeaders(n);
    request.headers.push_back({"Host", "localhost:8080"});
    return [request = std::move(request)] { return !CheckFraming(request, true); };
  });
  ExpectLinear("a host", kManyParts, [](size_t n) -> Work {
    HttpRequest request;
    request.headers.push_back({"Host", Times(n, "a")});
    return [request = std::move(request)] { return !CheckFraming(request, true); };
  });
  ExpectLinear("source and key", kManyParts, [](size_t n) -> Work {
    SecurityOptions options;
    options.keys.Add("secret");
    HttpRequest request = WithHeaders(n);
    request.headers.push_back({"Host", Times(n, "a")});
    request.headers.push_back({"Authorization", "Bearer " + Times(n, "a")});
    request.headers.push_back({"Origin", "http://" + Times(n, "a")});
    return [security = Security(options), request = std::move(request)] {
      static_cast<void>(security.CheckSource(request));
      static_cast<void>(security.CorsHeaders(request));
      return security.CheckKey(request).has_value();
    };
  });
}

TEST(HttpGrowth, Targets) {
  Router router;
  router.Add({.method = "GET", .pattern = "/v1/models/{id}"});
  const auto row = [&](std::string_view name, std::string (*make)(size_t n)) {
    ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
      return [&router, target = make(n)] {
        const auto parsed = ParseTarget(target);
        if (!parsed) return false;
        static_cast<void>(router.Find("GET", parsed->path));
        static_cast<void>(PrintableAscii(target));
        return true;
      };
    });
  };
  row("path", [](size_t n) { return "/v1/models/" + Times(n, "a/b"); });
  row("slashes", [](size_t n) { return Times(n, "/") + "v1//models/a" + Times(n, "/"); });
  row("percents", [](size_t n) { return "/v1/models/" + Times(n, "%41%"); });
  row("query", [](size_t n) { return "/v1/models/a?" + Times(n, "a=b&?"); });
  row("authority", [](size_t n) { return "http://" + Times(n, "a") + "/v1/models/a"; });
}

}  // namespace
}  // namespace mach::growth
