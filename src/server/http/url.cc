// Boost.URL is not used: it takes an empty host and any number of digits for a port, and refuses
// escapes and addresses that are accepted here.
#include "server/http/url.h"

#include <algorithm>

#include "server/http/http.h"

namespace mach::server {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool IsPort(std::string_view text) {
  constexpr size_t kMostDigits = 5;
  return text.size() <= kMostDigits && std::all_of(text.begin(), text.end(), IsDigit);
}

// Letters, digits and what RFC 3986 (section 3.2.2) lets a registered name have beside them.
bool IsNameByte(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-._~%!$&'()*+,;=").find(c) != std::string_view::npos;
}
bool IsAddressByte(char c) { return HexDigit(c) >= 0 || c == ':' || c == '.'; }

}  // namespace

std::optional<Authority> ParseAuthority(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  const size_t end = bracketed ? text.find(']') : text.find(':');
  if (bracketed && end == std::string_view::npos) return std::nullopt;
  Authority authority{.host = text.substr(0, end), .port = std::nullopt};
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end);
  if (bracketed) {
    authority.host.remove_prefix(1);
    rest.remove_prefix(1);
  }
  if (!rest.empty()) {
    authority.port = rest.substr(1);
    if (rest[0] != ':' || !IsPort(*authority.port)) return std::nullopt;
  }
  const std::string_view host = authority.host;
  const auto allowed = bracketed ? IsAddressByte : IsNameByte;
  if (host.empty() || !std::all_of(host.begin(), host.end(), allowed)) return std::nullopt;
  if (bracketed && host.find(':') == std::string_view::npos) return std::nullopt;
  return authority;
}

std::string_view HostOf(std::string_view text) {
  if (const auto authority = ParseAuthority(text)) return authority->host;
  const bool address = std::count(text.begin(), text.end(), ':') > 1 &&
                       std::all_of(text.begin(), text.end(), IsAddressByte);
  return address ? text : std::string_view();
}

bool IsIpv4(std::string_view host) {
  int dots = 0;
  int digits = 0;
  for (const char c : host) {
    if (c == '.') {
      if (digits == 0) return false;
      ++dots;
      digits = 0;
    } else if (IsDigit(c) && digits < 3) {
      ++digits;
    } else {
      return false;
    }
  }
  return dots == 3 && digits > 0;
}

bool IsAddress(std::string_view host) {
  return IsIpv4(host) || host.find(':') != std::string_view::npos;
}

std::string_view WithoutBrackets(std::string_view host) {
  if (host.size() < 2 || !host.starts_with('[') || !host.ends_with(']')) return host;
  return host.substr(1, host.size() - 2);
}

std::string HostAndPort(std::string_view host, uint16_t port) {
  std::string out(WithoutBrackets(host));
  if (out.find(':') != std::string::npos) out = "[" + out + "]";
  return out + ":" + std::to_string(port);
}

std::optional<RequestTarget> ParseTarget(std::string_view target) {
  RequestTarget out;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!EqualIgnoringCase(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::string_view authority = target.substr(0, target.find_first_of("/?"));
    if (!ParseAuthority(authority)) return std::nullopt;
    out.authority = authority;
    target.remove_prefix(authority.size());
    break;
  }
  const size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != std::string_view::npos) out.query = target.substr(mark + 1);
  if (out.path.empty() && !out.authority.empty()) out.path = "/";
  if (out.path.empty() || (out.path != "*" && out.path.front() != '/')) return std::nullopt;
  return out;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace mach::server
