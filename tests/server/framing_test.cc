// What RFC 9112 (HTTP/1.1) and RFC 9110 (HTTP's semantics) ask of requests on a
// connection: where one ends must never be a matter of opinion.
#include <gtest/gtest.h>

#include "base/log.h"
#include "server/test_client.h"
#include "server/test_server.h"

namespace mach::server {
namespace {

using namespace std::literals;

// After each case's bytes comes another request. It is answered where the
// connection goes on, and must not be where the case's own end is in doubt.
enum class Then : unsigned char { kCloses, kGoesOn };

struct FramingCase {
  const char* section;  // of RFC 9112, or "9110 ..."
  const char* what;
  std::string bytes;
  int status;
  Then then;
};

constexpr std::string_view kPing =
    R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":1})";

// Its head has neither a Host field nor one that frames the body.
std::string HostlessPost(std::string_view fields, std::string_view body,
                         std::string_view version = "1.1") {
  return "POST /v1/chat/completions HTTP/" + std::string(version) +
         "\r\nContent-Type: application/json\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}
std::string BarePost(std::string_view fields, std::string_view body) {
  return HostlessPost("Host: localhost\r\n" + std::string(fields), body);
}

std::string Hex(size_t n) {
  char text[20];
  std::snprintf(text, sizeof text, "%zx", n);
  return text;
}
std::string Length(std::string_view prefix = "", std::string_view suffix = "") {
  return "Content-Length: " + std::string(prefix) + std::to_string(kPing.size()) +
         std::string(suffix) + "\r\n";
}

constexpr std::string_view kTe = "Transfer-Encoding: chunked\r\n";
const std::string kSize = Hex(kPing.size());
const std::string kData = std::string(kPing) + "\r\n";
const std::string kWholeChunk = kSize + "\r\n" + kData;
const std::string kChunks = kWholeChunk + "0\r\n\r\n";

std::string Chunked(std::string_view chunks) { return BarePost(kTe, chunks); }

std::vector<FramingCase> FramingCases() {
  using enum Then;
  const std::string ping(kPing);
  return {
      // Lines.
      {"2.2", "an empty line in front", "\r\n\r\n" + Get("/health"), 200, kGoesOn},
      {"2.2", "a line ends with LF", "GET /health HTTP/1.1\nHost: localhost\r\n\r\n", 400, kCloses},
      {"2.2", "a field ends with LF", "GET /health HTTP/1.1\r\nHost: localhost\n\r\n", 400,
       kCloses},
      {"2.2", "the head ends with LF", "GET /health HTTP/1.1\r\nHost: localhost\r\n\n", 400,
       kCloses},
      {"2.2", "LF alone everywhere", "GET /health HTTP/1.1\nHost: localhost\n\n", 400, kCloses},
      {"2.2", "CR alone ends a field", "GET /health HTTP/1.1\r\nHost: localhost\rA: b\r\n\r\n", 400,
       kCloses},
      {"2.2", "white space after the request line",
       "GET /health HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n", 400, kCloses},
      {"2.2", "white space before the request line", " " + Get("/health"), 400, kCloses},
      {"9110 15.6.6", "HTTP/1.2", "GET /health HTTP/1.2\r\nHost: localhost\r\n\r\n", 505, kCloses},
      {"9110 15.6.6", "HTTP/2.0", "GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, kCloses},
      {"9110 15.6.6", "HTTP/0.9", "GET /health HTTP/0.9\r\nHost: localhost\r\n\r\n", 505, kCloses},
      {"2.3", "a version in lower case", "GET /health http/1.1\r\nHost: localhost\r\n\r\n", 400,
       kCloses},
      {"3", "no version", "GET /health\r\nHost: localhost\r\n\r\n", 400, kCloses},
      {"3", "two spaces", "GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, kCloses},
      {"3", "a tab", "GET\t/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, kCloses},
      {"3.1", "a method that is no token", "G(T /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400,
       kCloses},
      // Targets.
      {"3.2", "a space in the target", "GET /he alth HTTP/1.1\r\nHost: localhost\r\n\r\n", 400,
       kCloses},
      {"3.2.1", "no slash", Get("health"), 400, kCloses},
      {"3.2.2", "absolute form", Get("http://localhost:80/health?a"), 200, kGoesOn},
      {"3.2.2", "absolute form, scheme in capitals", Get("HTTP://localhost/health"), 200, kGoesOn},
      {"3.2.2", "the target's host counts", Get("http://evil.example/health"), 403, kGoesOn},
      {"3.2.2", "and not the field's",
       "GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, kGoesOn},
      {"3.2", "absolute form without Host", "GET http://localhost/health HTTP/1.1\r\n\r\n", 400,
       kCloses},
      {"9110 4.2.1", "absolute form without a host", Get("http:///health"), 400, kCloses},
      {"9110 4.2.4", "user information", Get("http://localhost@evil.example/health"), 400, kCloses},
      {"3.2.2", "another scheme", Get("ftp://localhost/health"), 400, kCloses},
      {"3.2.3", "authority form", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400,
       kCloses},
      {"3.2.4", "asterisk form", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 204, kGoesOn},
      {"3.2.4", "asterisk form of GET", Get("*"), 400, kCloses},
      // Host.
      {"3.2", "no Host", "GET /health HTTP/1.1\r\n\r\n", 400, kCloses},
      {"3.2", "no Host in HTTP/1.0", "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
       kGoesOn},
      {"3.2", "two Hosts", Get("/health", "Host: evil.example\r\n"), 400, kCloses},
      {"3.2", "the same Host twice", Get("/health", "host: localhost\r\n"), 400, kCloses},
      {"3.2", "two Hosts in HTTP/1.0",
       "GET /health HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, kCloses},
      {"3.2", "an address", "GET /health HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200, kGoesOn},
      {"3.2", "an empty port", "GET /health HTTP/1.1\r\nHost: localhost:\r\n\r\n", 200, kGoesOn},
      {"3.2", "text after an address", "GET /health HTTP/1.1\r\nHost: [::1].evil.example\r\n\r\n",
       400, kCloses},
      {"3.2", "a path after an address", "GET /health HTTP/1.1\r\nHost: [::1]:80/x\r\n\r\n", 400,
       kCloses},
      {"3.2", "a port that is none", "GET /health HTTP/1.1\r\nHost: localhost:8x\r\n\r\n", 400,
       kCloses},
      {"3.2", "two ports", "GET /health HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n", 400, kCloses},
      {"3.2", "an address without brackets", "GET /health HTTP/1.1\r\nHost: ::1\r\n\r\n", 400,
       kCloses},
      {"3.2", "an open bracket", "GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, kCloses},
      {"3.2", "user information in Host", "GET /health HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400,
       kCloses},
      {"3.2", "a list of hosts", "GET /health HTTP/1.1\r\nHost: localhost, a\r\n\r\n", 400,
       kCloses},
      // Fields.
      {"5", "a line without a colon", Get("/health", "nothing\r\n"), 400, kCloses},
      {"5", "a field without a name", Get("/health", ": value\r\n"), 400, kCloses},
      {"5.1", "a space before the colon", BarePost("Content-Length : 5\r\n", ping), 400, kCloses},
      {"5.1", "a tab before the colon", BarePost("Transfer-Encoding\t: chunked\r\n", kChunks), 400,
       kCloses},
      {"5.1", "white space around the value",
       BarePost("Content-Length:\t " + std::to_string(kPing.size()) + " \t\r\n", ping), 200,
       kGoesOn},
      {"5.2", "a folded field", Get("/health", "X: a\r\n b\r\n"), 400, kCloses},
      {"5.2", "a folded Transfer-Encoding", BarePost("Transfer-Encoding:\r\n chunked\r\n", kChunks),
       400, kCloses},
      {"9110 5.1", "a name with a bracket", Get("/health", "X[a]: b\r\n"), 400, kCloses},
      {"9110 5.5", "NUL in a value", Get("/health", "X: a\0b\r\n"sv), 400, kCloses},
      {"9110 5.5", "a control character in a value", Get("/health", "X: a\x01\r\n"), 400, kCloses},
      {"9110 5.5", "DEL in a value", Get("/health", "X: a\x7f\r\n"), 400, kCloses},
      {"9110 5.5", "a control character in a name", Get("/health", "X\x0b: a\r\n"), 400, kCloses},
      {"9110 5.5", "bytes beyond ASCII in a value", Get("/health", "X: \xc3\xa9\r\n"), 200,
       kGoesOn},
      // Transfer-Encoding.
      {"6.1", "chunked", Chunked(kChunks), 200, kGoesOn},
      {"6.1", "chunked in capitals", BarePost("Transfer-Encoding: CHUNKED\r\n", kChunks), 200,
       kGoesOn},
      {"6.1", "another coding", BarePost("Transfer-Encoding: gzip\r\n", kChunks), 501, kCloses},
      {"6.1", "identity", BarePost("Transfer-Encoding: identity\r\n", ""), 501, kCloses},
      {"6.1", "nothing", BarePost("Transfer-Encoding:\r\n", kChunks), 501, kCloses},
      {"6.1", "chunked after another coding",
       BarePost("Transfer-Encoding: gzip, chunked\r\n", kChunks), 501, kCloses},
      {"6.3", "chunked is not the last coding",
       BarePost("Transfer-Encoding: chunked, gzip\r\n", kChunks), 501, kCloses},
      {"6.1", "chunked twice", BarePost("Transfer-Encoding: chunked, chunked\r\n", kChunks), 501,
       kCloses},
      {"6.1", "a list with an empty member", BarePost("Transfer-Encoding: ,chunked\r\n", kChunks),
       501, kCloses},
      {"6.1", "a parameter", BarePost("Transfer-Encoding: chunked;q=1\r\n", kChunks), 501, kCloses},
      {"6.1", "quoted", BarePost("Transfer-Encoding: \"chunked\"\r\n", kChunks), 501, kCloses},
      {"6.1", "a longer word", BarePost("Transfer-Encoding: xchunked\r\n", kChunks), 501, kCloses},
      {"6.1", "two fields", BarePost(std::string(kTe) + std::string(kTe), kChunks), 400, kCloses},
      {"6.1", "two fields, the second another",
       BarePost(std::string(kTe) + "Transfer-Encoding: identity\r\n", kChunks), 400, kCloses},
      {"6.1", "two fields, the first another",
       BarePost("Transfer-Encoding: identity\r\n" + std::string(kTe), kChunks), 400, kCloses},
      {"6.1", "in HTTP/1.0",
       HostlessPost("Connection: keep-alive\r\n" + std::string(kTe), kChunks, "1.0"), 400, kCloses},
      {"6.1", "with Content-Length after it", BarePost(std::string(kTe) + Length(), kChunks), 400,
       kCloses},
      {"6.1", "with Content-Length before it", BarePost(Length() + std::string(kTe), kChunks), 400,
       kCloses},
      {"6.1", "another coding with Content-Length",
       BarePost("Transfer-Encoding: gzip\r\n" + Length(), ping), 400, kCloses},
      {"6.1", "with Content-Length 0",
       BarePost("Content-Length: 0\r\n" + std::string(kTe), kChunks), 400, kCloses},
      // Content-Length.
      {"6.2", "a length", BarePost(Length(), ping), 200, kGoesOn},
      {"6.2", "leading zeros", BarePost(Length("000"), ping), 200, kGoesOn},
      {"6.2", "neither field: no body", BarePost("", ""), 400, kGoesOn},
      {"6.3", "two lengths", BarePost(Length() + "Content-Length: 0\r\n", ping), 400, kCloses},
      {"6.3", "the same length twice", BarePost(Length() + Length(), ping), 400, kCloses},
      {"6.3", "a list of the same length",
       BarePost(Length("", ", " + std::to_string(kPing.size())), ping), 400, kCloses},
      {"6.3", "a list of lengths", BarePost(Length("", ", 0"), ping), 400, kCloses},
      {"6.3", "a comma", BarePost(Length("", ","), ping), 400, kCloses},
      {"6.2", "nothing", BarePost("Content-Length:\r\n", ping), 400, kCloses},
      {"6.2", "a sign", BarePost(Length("+"), ping), 400, kCloses},
      {"6.2", "a negative length", BarePost(Length("-"), ping), 400, kCloses},
      {"6.2", "digits apart", BarePost("Content-Length: 6 0\r\n", ping), 400, kCloses},
      {"6.2", "hexadecimal", BarePost("Content-Length: 0x3c\r\n", ping), 400, kCloses},
      {"6.2", "a fraction", BarePost(Length("", ".0"), ping), 400, kCloses},
      {"6.2", "an exponent", BarePost(Length("", "e0"), ping), 400, kCloses},
      {"6.2", "quoted", BarePost(Length("\"", "\""), ping), 400, kCloses},
      {"6.2", "digits of another script", BarePost("Content-Length: \xd9\xa1\r\n", ping), 400,
       kCloses},
      {"6.2", "more than 64 bits", BarePost("Content-Length: 18446744073709551617\r\n", ping), 400,
       kCloses},
      {"6.2", "64 bits", BarePost("Content-Length: 18446744073709551615\r\n", ping), 413, kCloses},
      // Chunks.
      {"7.1", "leading zeros of a size", Chunked("000" + kWholeChunk + "000\r\n\r\n"), 200,
       kGoesOn},
      {"7.1", "no size", Chunked("\r\n" + kData + "0\r\n\r\n"), 400, kCloses},
      {"7.1", "a sign", Chunked("+" + kChunks), 400, kCloses},
      {"7.1", "a negative size", Chunked("-1\r\n" + kChunks), 400, kCloses},
      {"7.1", "0x", Chunked("0x" + kChunks), 400, kCloses},
      {"7.1", "white space before a size", Chunked(" " + kChunks), 400, kCloses},
      {"7.1", "white space after a size", Chunked(kSize + " \r\n" + kData + "0\r\n\r\n"), 400,
       kCloses},
      {"7.1", "a size of more than 64 bits", Chunked("10000000000000000\r\n" + kData), 400,
       kCloses},
      {"7.1", "a size that wraps to the right one",
       Chunked("1" + std::string(16 - kSize.size(), '0') + kChunks), 400, kCloses},
      {"7.1", "a size of 64 bits", Chunked("ffffffffffffffff\r\n" + kData), 413, kCloses},
      {"7.1", "sizes whose sum wraps",
       Chunked("1\r\n{\r\nffffffffffffffff\r\n" + kData + "0\r\n\r\n"), 413, kCloses},
      {"7.1", "data longer than its size", Chunked("1\r\n" + kData + "0\r\n\r\n"), 400, kCloses},
      {"7.1", "no CRLF after data", Chunked(kSize + "\r\n" + ping + "0\r\n\r\n"), 400, kCloses},
      {"7.1", "LF after data", Chunked(kSize + "\r\n" + ping + "\n0\r\n\r\n"), 400, kCloses},
      {"7.1", "LF after a size", Chunked(kSize + "\n" + kData + "0\r\n\r\n"), 400, kCloses},
      {"7.1", "CR after a size", Chunked(kSize + "\r" + kData + "0\r\n\r\n"), 400, kCloses},
      {"7.1", "LF after the last size", Chunked(kWholeChunk + "0\n\n"), 400, kCloses},
      {"7.1", "no empty line after the last chunk", Chunked(kWholeChunk + "0\r\n"), 400, kCloses},
      {"7.1.1", "extensions", Chunked(kSize + ";a;b=c;d=\"e\"\r\n" + kData + "0;f\r\n\r\n"), 200,
       kGoesOn},
      {"7.1.1", "white space before an extension",
       Chunked(kSize + " \t; a = b\r\n" + kData + "0\r\n\r\n"), 200, kGoesOn},
      {"7.1.1", "an extension without a semicolon", Chunked(kSize + " a\r\n" + kData + "0\r\n\r\n"),
       400, kCloses},
      {"7.1.1", "LF in an extension", Chunked(kSize + ";a\n" + kData + "0\r\n\r\n"), 400, kCloses},
      {"7.1.1", "NUL in an extension", Chunked(kSize + ";a\0\r\n"s + kData + "0\r\n\r\n"), 400,
       kCloses},
      {"7.1.1", "a long extension",
       Chunked(kSize + ";" + std::string(40'000, 'a') + "\r\n" + kData + "0\r\n\r\n"), 400,
       kCloses},
      {"7.1.2", "trailer fields", Chunked(kWholeChunk + "0\r\nA: b\r\nC: d\r\n\r\n"), 200, kGoesOn},
      {"7.1.2", "Content-Length as a trailer",
       Chunked(kWholeChunk + "0\r\nContent-Length: 5\r\n\r\n"), 200, kGoesOn},
      {"7.1.2", "Transfer-Encoding as a trailer",
       Chunked(kWholeChunk + "0\r\nTransfer-Encoding: chunked\r\n\r\n"), 200, kGoesOn},
      {"7.1.2", "Host and Connection as trailers",
       Chunked(kWholeChunk + "0\r\nHost: evil.example\r\nConnection: close\r\n\r\n"), 200, kGoesOn},
      {"7.1.2", "a trailer that is no field",
       Chunked(kWholeChunk + "0\r\nGET /health HTTP/1.1\r\n\r\n"), 400, kCloses},
      {"7.1.2", "LF in a trailer", Chunked(kWholeChunk + "0\r\nA: b\n\r\n"), 400, kCloses},
      {"7.1.2", "long trailers",
       Chunked(kWholeChunk + "0\r\nA: " + std::string(40'000, 'a') + "\r\n\r\n"), 400, kCloses},
      // What follows the document.
      {"8259 2", "NUL after the document", Post(kChat, ping + "\0garbage"s), 400, kGoesOn},
      {"8259 2", "NUL in front", Post(kChat, "\0"s + ping), 400, kGoesOn},
      {"8259 2", "text after the document", Post(kChat, ping + "x"), 400, kGoesOn},
  };
}

TEST(Framing, EveryRequestHasOneEnd) {
  ConfigureLog({.level = LogLevel::kOff});
  TestServer server;
  for (const FramingCase& one : FramingCases()) {
    TestClient client(server.port());
    client.Send(one.bytes + Get("/health", "Connection: close\r\n"));
    std::vector<int> expected{one.status};
    if (one.then == Then::kGoesOn) expected.push_back(200);
    EXPECT_EQ(client.ReadStatuses(), expected) << one.section << ": " << one.what;
  }
}

// The same bytes, one in a packet: what is decided must not depend on how they
// come.
TEST(Framing, PacketsAreNoBoundaries) {
  ConfigureLog({.level = LogLevel::kOff});
  TestServer server;
  for (const std::string& bytes :
       {"\r\n" + Chunked("1 ;a=b\r\n{\r\n" + Hex(kPing.size() - 1) + "\r\n" +
                         std::string(kPing.substr(1)) + "\r\n0\r\nContent-Length: 1\r\n\r\n"),
        BarePost(Length(), kPing)}) {
    TestClient client(server.port());
    for (const char& c : bytes) client.Send({&c, 1});
    client.Send(Get("/health", "Connection: close\r\n"));
    EXPECT_EQ(client.ReadStatuses(), (std::vector<int>{200, 200}));
  }
}

}  // namespace
}  // namespace mach::server
