// The parts of URLs that HTTP has: authorities, request targets and percent-encoded paths.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mach::server {

// Views of the text that was parsed.
struct Authority {
  std::string_view host;                 // without brackets
  std::optional<std::string_view> port;  // decimal digits, at most five; empty after a bare colon
};
// "host", "host:port" and "[address]:port"; nullopt for other text, an empty host and user
// information (RFC 9110, section 4.2.4). More lenient than RFC 3986, and kept so: a '%' in a name
// may begin no escape, and an address is hexadecimal digits, dots and at least one colon.
std::optional<Authority> ParseAuthority(std::string_view text);

// The host of an authority, or a bare IPv6 address as it is; empty for what is neither.
std::string_view HostOf(std::string_view text);

// host: as HostOf returns it. Four numbers of one to three digits.
bool IsIpv4(std::string_view host);
// IPv4 or IPv6.
bool IsAddress(std::string_view host);

// An address or name as it is given on a command line: "[::1]" is "::1".
std::string_view WithoutBrackets(std::string_view host);
// An address or name and a port as URLs have them: "[::1]:80".
std::string HostAndPort(std::string_view host, uint16_t port);

struct RequestTarget {
  std::string authority;  // of the absolute form
  std::string path;
  std::string query;
};
// The origin form, the absolute form ("http://host/path") and "*"; nullopt for anything else. The
// authority has a host and no user information.
std::optional<RequestTarget> ParseTarget(std::string_view target);

// "%2F" to "/". Malformed escapes stay as they are.
std::string PercentDecode(std::string_view text);

}  // namespace mach::server
