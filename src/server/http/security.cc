#include "server/http/security.h"

#include <algorithm>
#include <fstream>
#include <new>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "base/printable.h"
#include "server/http/url.h"

namespace mach::server {
namespace {

bool IsWildcard(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

ApiError Forbidden(std::string_view code, std::string message) {
  ApiError error;
  error.status = 403;
  error.type = "permission_error";
  error.code = code;
  error.message = std::move(message);
  return error;
}

}  // namespace

bool IsLoopbackHost(std::string_view authority) {
  const std::string_view host = HostOf(authority);
  if (EqualIgnoringCase(host, "localhost") || host == "::1") return true;
  if (IsIpv4(host)) return host.starts_with("127.");
  constexpr std::string_view kBelow = ".localhost";
  return host.size() > kBelow.size() &&
         EqualIgnoringCase(host.substr(host.size() - kBelow.size()), kBelow);
}

Result<ApiKeys> ApiKeys::FromFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return Error{Code::kNotFound, "API key file '" + path + "' cannot be read: no such file"};
  }
  if ((info.st_mode & 077) != 0) {
    return Error{
        Code::kInvalidArgument,
        "API key file '" + path + "' can be read by other users; run: chmod 600 '" + path + "'"};
  }
  std::ifstream in(path);
  if (!in) return Error{Code::kIo, "API key file '" + path + "' cannot be opened"};
  ApiKeys keys;
  for (std::string line; std::getline(in, line);) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    const size_t end = line.find_last_not_of(" \t\r");
    keys.Add(line.substr(begin, end - begin + 1));
  }
  if (keys.empty()) {
    return Error{Code::kInvalidArgument,
                 "API key file '" + path + "' holds no key; expected one key a line"};
  }
  return keys;
}

ApiKeys::Digest ApiKeys::DigestOf(std::string_view key) {
  Digest digest;
  // It fails only where libcrypto finds no memory.
  if (EVP_Digest(key.data(), key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  return digest;
}

void ApiKeys::Add(std::string_view key) { digests_.push_back(DigestOf(key)); }

bool ApiKeys::Accepts(std::string_view key) const {
  const Digest offered = DigestOf(key);
  bool accepted = false;
  for (const Digest& known : digests_) {
    accepted |= CRYPTO_memcmp(known.data(), offered.data(), offered.size()) == 0;
  }
  return accepted;
}

Security::Security(SecurityOptions options) : options_(std::move(options)) {
  const auto plain = [](std::string& host) { host = std::string(WithoutBrackets(host)); };
  plain(options_.bind_host);
  std::for_each(options_.extra_hosts.begin(), options_.extra_hosts.end(), plain);
}

bool Security::HostAllowed(std::string_view authority) const {
  const std::string_view host = HostOf(authority);
  if (host.empty()) return false;
  if (IsLoopbackHost(authority) || EqualIgnoringCase(host, options_.bind_host)) return true;
  // A page of another site can only bring its own name here, never an address.
  if (IsWildcard(options_.bind_host) && IsAddress(host)) return true;
  return std::any_of(options_.extra_hosts.begin(), options_.extra_hosts.end(),
                     [&](const std::string& extra) { return EqualIgnoringCase(extra, host); });
}

bool Security::OriginAllowed(std::string_view origin, const HttpRequest& request) const {
  for (const std::string& pattern : options_.extra_origins) {
    if (pattern == "*" || EqualIgnoringCase(pattern, origin)) return true;
    if (pattern.ends_with('*') && pattern.size() > 1 &&
        origin.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1))) {
      return true;
    }
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!origin.starts_with(scheme)) continue;
    const std::string_view authority = origin.substr(scheme.size());
    if (IsLoopbackHost(authority)) return true;
    const std::string* host = request.FindHeader("Host");
    return host != nullptr && EqualIgnoringCase(*host, authority);
  }
  return false;
}

std::optional<ApiError> Security::CheckSource(const HttpRequest& request) const {
  const std::string* host = request.FindHeader("Host");
  if (host != nullptr && options_.keys.empty() && !HostAllowed(*host)) {
    return Forbidden("host_not_allowed",
                     "requests for host '" + PrintableAscii(*host).substr(0, 100) +
                         "' are refused; use the address the server is bound to, or start it with "
                         "--api-key-file or --allow-host");
  }
  const std::string* origin = request.FindHeader("Origin");
  if (origin != nullptr && !OriginAllowed(*origin, request)) {
    return Forbidden("origin_not_allowed",
                     "pages of origin '" + PrintableAscii(*origin).substr(0, 100) +
                         "' may not use this server; allow it with --allow-origin");
  }
  return std::nullopt;
}

std::optional<ApiError> Security::CheckKey(const HttpRequest& request) const {
  if (options_.keys.empty()) return std::nullopt;
  std::string_view offered;
  constexpr std::string_view kBearer = "Bearer ";
  if (const std::string* authorization = request.FindHeader("Authorization");
      authorization != nullptr && authorization->size() > kBearer.size() &&
      EqualIgnoringCase(std::string_view(*authorization).substr(0, kBearer.size()), kBearer)) {
    offered = std::string_view(*authorization).substr(kBearer.size());
  } else if (const std::string* key = request.FindHeader("x-api-key"); key != nullptr) {
    offered = *key;
  }
  if (!offered.empty() && options_.keys.Accepts(offered)) return std::nullopt;
  ApiError error;
  error.status = 401;
  error.type = "authentication_error";
  error.code = "invalid_api_key";
  error.message = offered.empty()
                      ? "no API key was sent; send 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
                      : "the API key is not one of this server's";
  return error;
}

std::vector<Header> Security::CorsHeaders(const HttpRequest& request) const {
  const std::string* origin = request.FindHeader("Origin");
  if (origin == nullptr || !OriginAllowed(*origin, request)) return {};
  return {{"Access-Control-Allow-Origin", *origin},
          {"Access-Control-Expose-Headers",
           "x-request-id, retry-after, x-mach-ignored-parameters, x-mach-tool-format"},
          {"Vary", "Origin"}};
}

HttpResponse Security::Preflight(const HttpRequest& request, const std::string& allow) const {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers.push_back({"Allow", allow});
  if (request.FindHeader("Origin") == nullptr) return response;
  response.headers.push_back({"Access-Control-Allow-Methods", allow});
  const std::string* asked = request.FindHeader("Access-Control-Request-Headers");
  response.headers.push_back(
      {"Access-Control-Allow-Headers",
       asked == nullptr ? "authorization, content-type, x-api-key" : *asked});
  response.headers.push_back({"Access-Control-Max-Age", "600"});
  if (request.FindHeader("Access-Control-Request-Private-Network") != nullptr) {
    response.headers.push_back({"Access-Control-Allow-Private-Network", "true"});
  }
  return response;
}

}  // namespace mach::server
