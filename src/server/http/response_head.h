// The head of a response as its bytes.
#pragma once

#include <ctime>
#include <span>
#include <string>
#include <string_view>

#include "server/http/http.h"

namespace mach::server {

// What a head says beside its response.
struct HeadFacts {
  std::time_t now = 0;
  std::string_view request_id;
  std::span<const Header> cors;
  bool chunked = false;  // a streaming response without chunks ends with the connection
  bool keep_alive = false;
};

// Status line and fields, up to the empty line, as HTTP/1.1 whatever the request's version. Values
// lose what is not printable ASCII and white space around them; fields of one name are put
// together. A name or a value of 64 KiB is std::length_error.
std::string SerializeHead(const HttpResponse& response, const HeadFacts& facts);

}  // namespace mach::server
