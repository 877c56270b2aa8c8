// An answer that comes over time, between the thread that makes it and the connection that sends
// it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "server/http/api_error.h"
#include "server/http/http.h"

namespace mach::server {

struct ReplyStep {
  std::optional<HttpResponse> head;  // in the first step that has anything
  std::string bytes;                 // after a streaming head: whole events
  bool done = false;
};

// Made by a handler, owned and called by one connection on the loop thread. Destruction cancels
// what is still running; the wake function is not called after that.
class Reply {
 public:
  virtual ~Reply() = default;
  // Once, before anything else. `wake` may be called from any thread, any number of times; the
  // connection answers with Take.
  virtual void Start(std::function<void()> wake) = 0;
  // What can be sent now. Not called again after a step that is done.
  virtual ReplyStep Take() = 0;
  // The server gives up on it: the next Take ends the answer with this error.
  virtual void Abort(const ApiError& error) = 0;
  // A part that says nothing, for a stream that has been silent; empty: nothing to send.
  virtual std::string Ping() = 0;
  // Silence after which Ping is sent; nullopt: never.
  virtual std::optional<std::chrono::milliseconds> PingInterval() const = 0;
  // When Take is to be called even without a wake; nullopt: never.
  virtual std::optional<std::chrono::steady_clock::time_point> WakeAt() const { return {}; }
  // " key=value" pairs for the request's line in the log.
  virtual std::string Summary() const = 0;
};

}  // namespace mach::server
