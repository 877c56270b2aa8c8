// A raw-socket HTTP client for tests: it can do what no proper client would.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace mach::server {

// What most tests ask for.
inline constexpr std::string_view kChat = "/v1/chat/completions";
inline constexpr std::string_view kHi = R"({"messages":[{"role":"user","content":"hi"}]})";
inline constexpr std::string_view kHiStream =
    R"({"stream":true,"messages":[{"role":"user","content":"hi"}]})";

struct RawResponse {
  int status = 0;                              // 0: the connection ended before a head came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  bool complete = false;                       // the body ended as its head said

  json::Value Json() const;       // null when the body is none
  std::string ErrorCode() const;  // of an error envelope
  std::string ErrorParam() const;
};

class TestClient {
 public:
  explicit TestClient(uint16_t port);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void Send(std::string_view bytes);
  RawResponse Read(bool head_only = false);
  // Reads until the text has been seen; all that came so far. "" when it never came.
  std::string ReadUntil(std::string_view text);
  // The statuses of all answers until the server closes the connection.
  std::vector<int> ReadStatuses();
  // Whether the server closes the connection (within the receive timeout).
  bool AtEnd();
  void Close();
  void Reset();     // closes with RST
  void EndInput();  // no more bytes; answers are still read

 private:
  bool Fill();
  int fd_ = -1;
  std::string buffer_;
};

// One request on a connection of its own.
RawResponse Ask(uint16_t port, std::string_view request);
std::string Get(std::string_view target, std::string_view extra_headers = "");
std::string Post(std::string_view target, std::string_view body,
                 std::string_view extra_headers = "");

// The payloads of a server-sent event stream, "[DONE]" included; comments are left out.
std::vector<std::string> SseData(std::string_view stream);

}  // namespace mach::server
