#include "cli/probe/http_client.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/printable.h"
#include "server/http/http.h"
#include "server/http/url.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxAnswerBytes = size_t{64} << 20;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

Error CannotReach(const std::string& where, const std::string& why) {
  return Error{Code::kIo,
               "no answer from http://" + where + ": " + why + "; is mach serve running there?"};
}

int Connect(const std::string& host, const std::string& port, std::chrono::seconds timeout,
            std::string& why) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0) {
    why = gai_strerror(code);
    return -1;
  }
  int fd = -1;
  for (const addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
    fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0) continue;
    const timeval limit{timeout.count(), 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) continue;
    why = std::strerror(errno);
    close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

Result<std::string> JoinChunks(std::string_view rest) {
  std::string body;
  for (;;) {
    const size_t line = rest.find("\r\n");
    size_t size = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), size, 16);
    if (line == std::string_view::npos || parsed.ec != std::errc()) {
      return Error{Code::kCorrupt, "the response's chunks are malformed"};
    }
    rest.remove_prefix(line + 2);
    if (size == 0) return body;
    if (size > rest.size()) return Error{Code::kCorrupt, "the response is cut off"};
    body += rest.substr(0, size);
    rest.remove_prefix(std::min(rest.size(), size + 2));
  }
}

}  // namespace

Result<HttpAnswer> ParseHttpAnswer(std::string_view bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.") || end == std::string_view::npos || end < 12) {
    return Error{Code::kCorrupt, "the response is no HTTP response"};
  }
  HttpAnswer answer;
  std::from_chars(bytes.data() + 9, bytes.data() + 12, answer.status);
  const std::string_view head = bytes.substr(0, end);
  const std::string_view rest = bytes.substr(end + 4);
  std::string length;
  bool chunked = false;
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    const size_t next = head.find("\r\n", at + 2);
    const std::string_view line =
        head.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      if (server::EqualIgnoringCase(line.substr(0, colon), "Content-Length")) length = value;
      if (server::EqualIgnoringCase(line.substr(0, colon), "Transfer-Encoding")) chunked = true;
    }
    at = next;
  }
  if (chunked) {
    MACH_TRY(answer.body, JoinChunks(rest));
    return answer;
  }
  answer.body = rest;
  if (!length.empty() && std::to_string(rest.size()) != length) {
    return Error{Code::kCorrupt, "the response is cut off"};
  }
  return answer;
}

Result<HttpClient> HttpClient::ForUrl(std::string_view url, std::string_view api_key) {
  constexpr std::string_view kScheme = "http://";
  const std::string shown = PrintableAscii(url).substr(0, 200);
  if (!url.starts_with(kScheme)) {
    return Error{Code::kInvalidArgument,
                 "URL '" + shown + "' does not begin with http://, as in http://127.0.0.1:8080"};
  }
  url.remove_prefix(kScheme.size());
  const size_t slash = url.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : url.substr(slash);
  const std::string_view authority = url.substr(0, slash);
  if (!path.empty() && path != "/" && path != "/v1" && path != "/v1/") {
    return Error{Code::kInvalidArgument,
                 "URL '" + shown + "' has a path that is not /v1; give the server's base URL"};
  }
  HttpClient client;
  client.authority_ = PrintableAscii(authority);
  client.api_key_ = PrintableAscii(api_key);
  const auto parsed = server::ParseAuthority(authority);
  if (!parsed) {
    return Error{Code::kInvalidArgument,
                 "URL '" + shown +
                     "' names no host and port, as in http://127.0.0.1:8080 and "
                     "http://[::1]:8080"};
  }
  client.host_ = parsed->host;
  client.port_ = parsed->port.value_or("80");
  if (client.port_.empty()) {
    return Error{Code::kInvalidArgument,
                 "URL '" + shown + "' has a colon without a port; give the port, or leave it out"};
  }
  return client;
}

Result<HttpAnswer> HttpClient::Request(std::string_view method, std::string_view path,
                                       std::string_view body) const {
  std::string why;
  const Socket socket(Connect(host_, port_, timeout_, why));
  if (socket.fd() < 0) return CannotReach(authority_, why);
  std::string request = std::string(method) + " " + std::string(path) +
                        " HTTP/1.1\r\nHost: " + authority_ + "\r\nConnection: close\r\n";
  if (!api_key_.empty()) request += "Authorization: Bearer " + api_key_ + "\r\n";
  if (!body.empty()) {
    request +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  request += "\r\n";
  request += body;
  for (std::string_view left = request; !left.empty();) {
    const ssize_t n = send(socket.fd(), left.data(), left.size(), MSG_NOSIGNAL);
    if (n <= 0) return CannotReach(authority_, std::strerror(errno));
    left.remove_prefix(static_cast<size_t>(n));
  }
  std::string bytes;
  char buffer[16384];
  for (;;) {
    const ssize_t n = recv(socket.fd(), buffer, sizeof buffer, 0);
    if (n < 0) return CannotReach(authority_, std::strerror(errno));
    if (n == 0) break;
    bytes.append(buffer, static_cast<size_t>(n));
    if (bytes.size() > kMaxAnswerBytes) {
      return Error{Code::kIo, "the answer of " + authority_ + " is larger than 64 MiB"};
    }
  }
  auto answer = ParseHttpAnswer(bytes);
  if (!answer) return std::move(answer).error().In("http://" + authority_ + std::string(path));
  return answer;
}

}  // namespace mach::cli
