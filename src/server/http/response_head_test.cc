#include "server/http/response_head.h"

#include <array>

#include <gtest/gtest.h>

namespace mach::server {
namespace {

constexpr std::time_t kNow = 784111777;  // the example of RFC 9110, section 5.6.7
constexpr std::string_view kFirstFields =
    "Server: mach\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-request-id: req_1\r\n"
    "X-Content-Type-Options: nosniff\r\n";

std::string After(std::string_view status_line, std::string_view other_fields) {
  return std::string(status_line) + "\r\n" + std::string(kFirstFields) + std::string(other_fields) +
         "\r\n";
}

TEST(ResponseHead, OfAnAnswerThatIsThere) {
  HttpResponse response;
  response.body = "{}";
  response.headers = {{"Retry-After", "1"}, {"x-should-retry", "false"}};
  EXPECT_EQ(SerializeHead(response, {.now = kNow, .request_id = "req_1", .keep_alive = true}),
            After("HTTP/1.1 200 OK",
                  "Retry-After: 1\r\nx-should-retry: false\r\nContent-Type: application/json\r\n"
                  "Content-Length: 2\r\nConnection: keep-alive\r\n"));
}

TEST(ResponseHead, OfAStreamWithAndWithoutChunks) {
  HttpResponse response{.content_type = "text/event-stream", .body = "data", .streaming = true};
  EXPECT_EQ(SerializeHead(response, {.now = kNow, .request_id = "req_1", .chunked = true}),
            After("HTTP/1.1 200 OK",
                  "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                  "Connection: close\r\n"));
  EXPECT_EQ(SerializeHead(response, {.now = kNow, .request_id = "req_1"}),
            After("HTTP/1.1 200 OK", "Content-Type: text/event-stream\r\nConnection: close\r\n"));
}

TEST(ResponseHead, OfAPreflight) {
  const std::array<Header, 2> cors = {
      {{"Access-Control-Allow-Origin", "http://a"}, {"Vary", "Origin"}}};
  HttpResponse response{.status = 204, .content_type = ""};
  response.headers = {{"Allow", "GET"}};
  EXPECT_EQ(SerializeHead(response,
                          {.now = kNow, .request_id = "req_1", .cors = cors, .keep_alive = true}),
            After("HTTP/1.1 204 No Content",
                  "Access-Control-Allow-Origin: http://a\r\nVary: Origin\r\nAllow: GET\r\n"
                  "Connection: keep-alive\r\n"));
}

TEST(ResponseHead, ValuesAddNoFields) {
  HttpResponse response;
  response.headers = {{"x-names", " a\r\nSet-Cookie: b\x80, c "}, {"x-none", "\r\n"}};
  EXPECT_EQ(SerializeHead(response, {.now = kNow, .request_id = "req_1"}),
            After("HTTP/1.1 200 OK",
                  "x-names: aSet-Cookie: b, c\r\nx-none: \r\nContent-Type: application/json\r\n"
                  "Content-Length: 0\r\nConnection: close\r\n"));
}

// Those that the server answers with.
TEST(ResponseHead, NamesEveryStatus) {
  struct Row {
    int status;
    std::string_view reason;
  };
  constexpr Row kRows[] = {
      {200, "OK"},
      {204, "No Content"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {413, "Payload Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  for (const Row& row : kRows) {
    const std::string head = SerializeHead({.status = row.status}, {});
    EXPECT_EQ(head.substr(0, head.find('\r')),
              "HTTP/1.1 " + std::to_string(row.status) + " " + std::string(row.reason));
  }
}

}  // namespace
}  // namespace mach::server
