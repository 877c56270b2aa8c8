#include "server/http/router.h"

#include "server/http/url.h"

namespace mach::server {
namespace {

constexpr std::string_view kPrefix = "/v1";
constexpr std::string_view kTail = "/{id}";

bool MatchesOne(std::string_view pattern, std::string_view path, std::string& tail) {
  if (!pattern.ends_with(kTail)) return pattern == path;
  const std::string_view stem = pattern.substr(0, pattern.size() - kTail.size() + 1);
  if (!path.starts_with(stem) || path.size() == stem.size()) return false;
  tail = PercentDecode(path.substr(stem.size()));
  return true;
}

bool Matches(std::string_view pattern, std::string_view path, std::string& tail) {
  if (MatchesOne(pattern, path, tail)) return true;
  if (pattern.starts_with("/v1/")) return MatchesOne(pattern.substr(kPrefix.size()), path, tail);
  return path.starts_with("/v1/") && MatchesOne(pattern, path.substr(kPrefix.size()), tail);
}

// Clients join a base URL that ends with a slash and a path that begins with one.
std::string WithoutDoubledSlashes(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (const char c : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  return out;
}

}  // namespace

Router::Match Router::Find(std::string_view method, std::string_view given) const {
  const std::string single = WithoutDoubledSlashes(given);
  std::string_view path = single;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  Match match;
  for (const Route& route : routes_) {
    std::string tail;
    if (!Matches(route.pattern, path, tail)) continue;
    const bool get = route.method == "GET";
    if (route.method == method || (get && method == "HEAD")) {
      match.route = &route;
      match.tail = std::move(tail);
    }
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += get ? "GET, HEAD" : route.method;
  }
  if (!match.allow.empty()) match.allow += ", OPTIONS";
  return match;
}

}  // namespace mach::server
