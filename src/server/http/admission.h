// What is decided about a request before its body is read.
#pragma once

#include <optional>

#include "server/http/limits.h"
#include "server/http/router.h"
#include "server/http/security.h"

namespace mach::server {

struct Admission {
  std::optional<HttpResponse> answer;  // given at once: a refusal or a preflight
  Router::Match match;                 // otherwise, the route to take
};

// Checks in this order: sizes (414, 431), Host and Origin (403), OPTIONS, route (404, 405), key
// (401), media type (415).
Admission Admit(const HttpRequest& request, bool has_body, const Limits& limits,
                const Security& security, const Router& router);

// x-request-id as the client sent it where it is 1 to 128 characters of [A-Za-z0-9._:-], else a
// fresh one.
std::string RequestId(const HttpRequest& request);

}  // namespace mach::server
