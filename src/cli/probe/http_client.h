// A plain HTTP/1.1 client for our own tools: one request a connection, blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mach::cli {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

class HttpClient {
 public:
  // url: "http://127.0.0.1:8080" or "http://127.0.0.1:8080/v1"; a path in it goes in front of
  // nothing but is checked. api_key: empty for none.
  static Result<HttpClient> ForUrl(std::string_view url, std::string_view api_key);

  // path: "/v1/stats". A body makes it a request with JSON. kIo when there is no answer, and what
  // to look at.
  Result<HttpAnswer> Request(std::string_view method, std::string_view path,
                             std::string_view body = {}) const;

  void set_timeout(std::chrono::seconds timeout) { timeout_ = timeout; }
  const std::string& authority() const { return authority_; }

 private:
  HttpClient() = default;
  std::string host_;
  std::string port_;
  std::string authority_;
  std::string api_key_;
  std::chrono::seconds timeout_{600};
};

// What a response's bytes say; kCorrupt when they are no whole response.
Result<HttpAnswer> ParseHttpAnswer(std::string_view bytes);

}  // namespace mach::cli
