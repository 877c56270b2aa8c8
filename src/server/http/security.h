// Who may ask: Host and Origin checks, CORS, API keys.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/api_error.h"
#include "server/http/http.h"

namespace mach::server {

// Keys, held as SHA-256 digests. How long Accepts takes depends on the number of keys and on the
// length of the offered one, not on what the keys are.
class ApiKeys {
 public:
  // One key a line; blank lines and lines that begin with '#' are skipped. The file must be the
  // user's alone (mode 0600 or stricter).
  static Result<ApiKeys> FromFile(const std::string& path);

  void Add(std::string_view key);
  bool empty() const { return digests_.empty(); }
  size_t size() const { return digests_.size(); }
  bool Accepts(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest DigestOf(std::string_view key);  // throws std::bad_alloc
  std::vector<Digest> digests_;
};

struct SecurityOptions {
  std::string bind_host = "127.0.0.1";
  ApiKeys keys;                            // empty: no key is asked for
  std::vector<std::string> extra_hosts;    // Host names to accept beside loopback and bind_host
  std::vector<std::string> extra_origins;  // "https://a.example", "moz-extension://*", or "*"
};

class Security {
 public:
  explicit Security(SecurityOptions options);

  // 403 for a foreign Host (when no key guards the server: DNS rebinding) or Origin.
  std::optional<ApiError> CheckSource(const HttpRequest& request) const;
  // 401 without a valid "Authorization: Bearer" or "x-api-key".
  std::optional<ApiError> CheckKey(const HttpRequest& request) const;
  // Headers that let the page of this request's (accepted) origin read the answer.
  std::vector<Header> CorsHeaders(const HttpRequest& request) const;
  // The answer to OPTIONS; allow: methods of the path.
  HttpResponse Preflight(const HttpRequest& request, const std::string& allow) const;

 private:
  bool HostAllowed(std::string_view host) const;
  bool OriginAllowed(std::string_view origin, const HttpRequest& request) const;
  SecurityOptions options_;
};

// "localhost", "127.0.0.5", "[::1]" and names below .localhost.
bool IsLoopbackHost(std::string_view host);

}  // namespace mach::server
