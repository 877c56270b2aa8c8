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

std::string_view ReasonPhrase(int status);

bool EqualIgnoringCase(std::string_view a, std::string_view b);

// "%2F" to "/". Malformed escapes stay as they are.
std::string PercentDecode(std::string_view text);

struct RequestTarget {
  std::string authority;  // of the absolute form
  std::string path;
  std::string query;
};
// The origin form, the absolute form ("http://host/path") and "*"; nothing for anything else. The
// authority has a host and no user information.
std::optional<RequestTarget> ParseTarget(std::string_view target);

// The host of "host", "host:port" and "[address]:port", without brackets; nothing where the text is
// no authority as RFC 3986 has it, or has user information (RFC 9110, section 4.2.4).
std::optional<std::string_view> AuthorityHost(std::string_view authority);

// An address or name as it is given on a command line: "[::1]" is "::1".
std::string_view WithoutBrackets(std::string_view host);
// An address or name and a port as URLs have them: "[::1]:80".
std::string HostAndPort(std::string_view host, uint16_t port);

// Status 200.
HttpResponse JsonResponse(const json::Value& value);

}  // namespace mach::server
