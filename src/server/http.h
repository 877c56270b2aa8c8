// Requests and responses as handlers see them: no library types, no sockets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

  // Value of the first header of that name, letter case aside; null pointer without one.
  const std::string* FindHeader(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<Header> headers;
  std::string body;
  bool streaming = false;  // more parts follow `body`
  std::string log;         // " key=value" pairs for the request's line in the log
};

std::string_view ReasonPhrase(int status);

bool EqualIgnoringCase(std::string_view a, std::string_view b);

// "%2F" to "/". Malformed escapes stay as they are.
std::string PercentDecode(std::string_view text);

// The text without control bytes and, beyond ASCII, without anything: fit for a header value.
std::string HeaderSafe(std::string_view text);

// Splits a target into path and query: origin form, absolute form ("http://host/path") and "*".
// False for anything else.
bool SplitTarget(std::string_view target, std::string& path, std::string& query);

}  // namespace mach::server
