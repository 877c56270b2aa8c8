#include "server/http/url.h"

#include <gtest/gtest.h>

namespace mach::server {
namespace {

// "HOST" or "HOST PORT"; "none" for what is no authority.
std::string Described(std::string_view text) {
  const auto authority = ParseAuthority(text);
  if (!authority) return "none";
  std::string out(authority->host);
  if (authority->port) out += " " + std::string(*authority->port);
  return out;
}

TEST(Url, Authorities) {
  struct Row {
    std::string_view text;
    std::string_view authority;  // as Described
    std::string_view host;       // HostOf
  };
  constexpr Row kRows[] = {
      {"h", "h", "h"},
      {"h:", "h ", "h"},
      {"h:80", "h 80", "h"},
      {"h:99999", "h 99999", "h"},
      {"h:123456", "none", ""},
      {"h:8x", "none", ""},
      {"h:-1", "none", ""},
      {"h:80:80", "none", ""},
      {"Box.lan_1~!$&'()*+,;=%zz", "Box.lan_1~!$&'()*+,;=%zz", "Box.lan_1~!$&'()*+,;=%zz"},
      {"127.0.0.1:1", "127.0.0.1 1", "127.0.0.1"},
      {"[::1]", "::1", "::1"},
      {"[::1]:", "::1 ", "::1"},
      {"[::FFFF:1.2.3.4]:80", "::FFFF:1.2.3.4 80", "::FFFF:1.2.3.4"},
      {"[::1", "none", ""},
      {"[::1]x", "none", ""},
      {"[::1]80", "none", ""},
      {"[::1]:8x", "none", ""},
      {"[127.0.0.1]", "none", ""},
      {"[::g]", "none", ""},
      {"[]", "none", ""},
      {"]", "none", ""},
      {"", "none", ""},
      {":80", "none", ""},
      {"u@h", "none", ""},
      {"h/", "none", ""},
      {"h ", "none", ""},
      {"h\xc3\xa9", "none", ""},
      {"::1", "none", "::1"},
      {"fd00::1:80", "none", "fd00::1:80"},
      {"::1x", "none", ""},
      {"a:1:", "none", "a:1:"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(Described(row.text), row.authority) << row.text;
    EXPECT_EQ(HostOf(row.text), row.host) << row.text;
  }
}

TEST(Url, Addresses) {
  for (const char* host : {"127.0.0.1", "0.0.0.0", "999.9.99.1"}) {
    EXPECT_TRUE(IsIpv4(host) && IsAddress(host)) << host;
  }
  for (const char* host : {"::1", "::"}) {
    EXPECT_TRUE(!IsIpv4(host) && IsAddress(host)) << host;
  }
  for (const char* host : {"", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5",
                           "1.2.3.0004", "1.2.3.x", "1.2.3.4.", "localhost"}) {
    EXPECT_FALSE(IsIpv4(host) || IsAddress(host)) << host;
  }
}

TEST(Url, HostsWithPorts) {
  EXPECT_EQ(HostAndPort("::1", 80), "[::1]:80");
  EXPECT_EQ(HostAndPort("[::1]", 80), "[::1]:80");
  EXPECT_EQ(HostAndPort("127.0.0.1", 80), "127.0.0.1:80");
  EXPECT_EQ(WithoutBrackets("[::1]"), "::1");
  for (const char* host : {"", "[", "[::1", "::1]", "a"}) EXPECT_EQ(WithoutBrackets(host), host);
}

TEST(Url, Targets) {
  struct Row {
    std::string_view target;
    std::string_view parts;  // "AUTHORITY PATH QUERY"
  };
  constexpr Row kRows[] = {
      {"/", " / "},
      {"/a%20b?c?d", " /a%20b c?d"},
      {"//a", " //a "},
      {"/?", " / "},
      {"*", " * "},
      {"http://h", "h / "},
      {"HTTP://h:1?a=b", "h:1 / a=b"},
      {"https://[::1]:1/a?b", "[::1]:1 /a b"},
  };
  for (const Row& row : kRows) {
    const auto target = ParseTarget(row.target);
    ASSERT_TRUE(target.has_value()) << row.target;
    EXPECT_EQ(target->authority + " " + target->path + " " + target->query, row.parts);
  }
  for (const char* target :
       {"", "relative", "?a", "**", "http:", "http://", "http:///x", "http://h#", "https://u@h/x",
        "http://h:x/", "http://[::1]h/", "h:1"}) {
    EXPECT_FALSE(ParseTarget(target).has_value()) << target;
  }
}

TEST(Url, Escapes) {
  EXPECT_EQ(PercentDecode("a%2Fb%2f%00c"), std::string("a/b/\0c", 6));
  EXPECT_EQ(PercentDecode("%zz%4"), "%zz%4");
  EXPECT_EQ(PercentDecode("%%41%4g%"), "%A%4g%");
  EXPECT_EQ(PercentDecode(""), "");
}

}  // namespace
}  // namespace mach::server
