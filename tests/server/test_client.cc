#include "server/test_client.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json/parse.h"

namespace mach::server {
namespace {

constexpr int kReceiveTimeoutSeconds = 20;

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string ErrorField(const json::Value& body, std::string_view key) {
  const json::Value* error = body.Find("error");
  const json::Value* field = error == nullptr ? nullptr : error->Find(key);
  return field != nullptr && field->is_string() ? field->AsString() : "";
}

}  // namespace

json::Value RawResponse::Json() const {
  auto value = json::Parse(body);
  return value ? *std::move(value) : json::Value();
}
std::string RawResponse::ErrorCode() const { return ErrorField(Json(), "code"); }
std::string RawResponse::ErrorParam() const { return ErrorField(Json(), "param"); }

TestClient::TestClient(uint16_t port) {
  fd_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const timeval timeout{kReceiveTimeoutSeconds, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) Close();
}

TestClient::~TestClient() { Close(); }

void TestClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void TestClient::Reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  Close();
}

void TestClient::EndInput() { shutdown(fd_, SHUT_WR); }

void TestClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool TestClient::Fill() {
  char bytes[16384];
  const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

bool TestClient::AtEnd() {
  while (Fill()) {
  }
  char byte;
  return recv(fd_, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET || errno == ENOTCONN;
}

std::vector<int> TestClient::ReadStatuses() {
  std::vector<int> statuses;
  for (;;) {
    const RawResponse response = Read();
    if (response.status == 0) return statuses;
    statuses.push_back(response.status);
  }
}

std::string TestClient::ReadUntil(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!Fill()) return "";
  }
  return buffer_;
}

RawResponse TestClient::Read(bool head_only) {
  RawResponse response;
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return response;
  }
  const std::string head = buffer_.substr(0, end);
  buffer_.erase(0, end + 4);
  response.status = std::atoi(head.c_str() + head.find(' '));
  for (size_t at = head.find("\r\n"); at != std::string::npos;) {
    const size_t next = head.find("\r\n", at + 2);
    const std::string line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) {
      response.headers[Lower(line.substr(0, colon))] = line.substr(colon + 2);
    }
    at = next;
  }
  if (response.status == 100) return Read(head_only);
  if (head_only || response.status == 204) {
    response.complete = true;
    return response;
  }
  if (response.headers.contains("content-length")) {
    const size_t length = std::strtoul(response.headers["content-length"].c_str(), nullptr, 10);
    while (buffer_.size() < length && Fill()) {
    }
    response.complete = buffer_.size() >= length;
    response.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return response;
  }
  if (!response.headers.contains("transfer-encoding")) {
    while (Fill()) {
    }
    response.body = std::exchange(buffer_, {});
    response.complete = true;
    return response;
  }
  for (;;) {
    size_t line;
    while ((line = buffer_.find("\r\n")) == std::string::npos) {
      if (!Fill()) return response;
    }
    const size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < line + 2 + size + 2) {
      if (!Fill()) return response;
    }
    response.body += buffer_.substr(line + 2, size);
    buffer_.erase(0, line + 2 + size + 2);
    if (size == 0) {
      response.complete = true;
      return response;
    }
  }
}

RawResponse Ask(uint16_t port, std::string_view request) {
  TestClient client(port);
  client.Send(request);
  return client.Read(request.starts_with("HEAD"));
}

std::string Get(std::string_view target, std::string_view extra_headers) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" +
         std::string(extra_headers) + "\r\n";
}

std::string Post(std::string_view target, std::string_view body, std::string_view extra_headers) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(extra_headers) + "\r\n" +
         std::string(body);
}

std::vector<std::string> SseData(std::string_view stream) {
  std::vector<std::string> data;
  while (!stream.empty()) {
    const size_t end = stream.find("\n\n");
    const std::string_view event = stream.substr(0, end);
    if (event.starts_with("data: ")) data.emplace_back(event.substr(6));
    if (end == std::string_view::npos) break;
    stream.remove_prefix(end + 2);
  }
  return data;
}

}  // namespace mach::server
