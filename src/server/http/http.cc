#include "server/http/http.h"

#include <algorithm>
#include <utility>

#include "json/write.h"

namespace mach::server {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsPort(std::string_view text) {
  constexpr size_t kMostDigits = 5;
  return text.size() <= kMostDigits && std::all_of(text.begin(), text.end(), IsDigit);
}

// Letters, digits and what RFC 3986 (section 3.2.2) lets a registered name have beside them.
bool IsNameByte(char c) {
  return (IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z')) ||
         std::string_view("-._~%!$&'()*+,;=").find(c) != std::string_view::npos;
}
bool IsAddressByte(char c) {
  return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'f') || c == ':' || c == '.';
}

}  // namespace

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

void HttpRequest::SetHeader(std::string_view name, std::string value) {
  std::erase_if(headers, [&](const Header& h) { return EqualIgnoringCase(h.name, name); });
  headers.push_back({std::string(name), std::move(value)});
}

const std::string* HttpRequest::FindHeader(std::string_view name) const {
  for (const Header& header : headers) {
    if (EqualIgnoringCase(header.name, name)) return &header.value;
  }
  return nullptr;
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Response";
  }
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

std::optional<std::string_view> AuthorityHost(std::string_view authority) {
  const bool bracketed = authority.starts_with('[');
  const size_t end = bracketed ? authority.find(']') : authority.find(':');
  if (bracketed && end == std::string_view::npos) return std::nullopt;
  std::string_view host = authority.substr(0, end);
  std::string_view rest =
      end == std::string_view::npos ? std::string_view() : authority.substr(end);
  if (bracketed) {
    host.remove_prefix(1);
    rest.remove_prefix(1);
  }
  if (!rest.empty() && (rest[0] != ':' || !IsPort(rest.substr(1)))) return std::nullopt;
  if (host.empty()) return std::nullopt;
  const auto allowed = bracketed ? IsAddressByte : IsNameByte;
  if (!std::all_of(host.begin(), host.end(), allowed)) return std::nullopt;
  if (bracketed && host.find(':') == std::string_view::npos) return std::nullopt;
  return host;
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
    if (!AuthorityHost(authority)) return std::nullopt;
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

HttpResponse JsonResponse(const json::Value& value) {
  HttpResponse response;
  response.body = json::Write(value);
  return response;
}

}  // namespace mach::server
