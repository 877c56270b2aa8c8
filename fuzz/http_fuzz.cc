// Any bytes on a connection to a server over a scripted engine. A NUL byte makes a pause between
// two packets.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "server/test_server.h"

namespace {

using namespace mach::server;

TestServer& Server() {
  static auto& server = *[] {
    mach::ConfigureLog({.level = mach::LogLevel::kOff});
    TestServerOptions options;
    options.http.limits.body_bytes = 1 << 16;
    options.http.limits.linger = std::chrono::milliseconds(5);
    options.engine.max_queue = 1000;
    return new TestServer(std::move(options));
  }();
  return server;
}

std::string Exchange(std::string_view bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  MACH_CHECK(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(Server().port());
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const timeval timeout{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  // The port is kept for a minute after the close. Every loopback address has ports of its own.
  static uint32_t connections = 0;
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f000001 + connections++ / 10000 % 0xffff);
  MACH_CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
  // The fuzzer's timer interrupts calls.
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    MACH_CHECK(errno == EINTR);
    pollfd ready{fd, POLLOUT, 0};
    while (poll(&ready, 1, -1) < 0) MACH_CHECK(errno == EINTR);
  }
  while (!bytes.empty()) {
    const size_t pause = bytes.find('\0');
    const std::string_view packet = bytes.substr(0, pause);
    if (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) break;
    if (pause == std::string_view::npos) break;
    bytes.remove_prefix(pause + 1);
  }
  shutdown(fd, SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (;;) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) MACH_CHECK(errno != EAGAIN);  // neither an answer nor an end in 20 s
    if (n <= 0) break;
    answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string answer = Exchange({reinterpret_cast<const char*>(data), size});
  MACH_CHECK(answer.empty() || answer.starts_with("HTTP/1.1 "));
  static int inputs = 0;
  if (++inputs % 500 == 0) {
    const std::string health = Exchange("GET /health HTTP/1.0\r\n\r\n");
    MACH_CHECK(health.starts_with("HTTP/1.1 200 "));
  }
  return 0;
}
