// Requests and responses as handlers see them: no library types, no sockets.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace mach::server {

struct Header {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string method;  // as sent: "GET"
  std::string target;  // as sent: "/v1/models?limit=1"
  std::string path;    // of the target, still percent-encoded; "*" for OPTIONS *
  std::string query;   // after the '?'
  std::vector<Header> headers;
  std::string body;
  std::string id;      // x-request-id, the client's or ours
  std::string client;  // "127.0.0.1:52114", for the log
  // True: nobody waits for the answer any more. Null: that is not watched.
  std::shared_ptr<const std::atomic<bool>> cancelled;

  // Value of the first header of that name, letter case aside; null pointer without one.
  const std::string* FindHeader(std::string_view name) const;
  // The only header of that name from now on.
  void SetHeader(std::string_view name, std::string value);
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<Header> headers;
  std::string body;
  bool streaming = false;  // more parts follow `body`
  std::string log;         // " key=value" pairs for the request's line in the log
};

bool EqualIgnoringCase(std::string_view a, std::string_view b);

// Status 200.
HttpResponse JsonResponse(const json::Value& value);

}  // namespace mach::server
