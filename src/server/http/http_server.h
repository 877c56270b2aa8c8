// The HTTP/1.1 server: sockets, limits, timeouts, shutdown. What is served is the router's matter.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/memory_ledger.h"
#include "base/result.h"
#include "server/http/http_counters.h"
#include "server/http/limits.h"
#include "server/http/router.h"
#include "server/http/security.h"

namespace mach::server {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address or a name
  uint16_t port = 8080;            // 0: the system chooses
  Limits limits;
  SecurityOptions security;
  size_t workers = 2;  // threads for handlers of RunsOn::kWorker; long bodies have one more
  // What requests may hold together: bodies, what is made of them, answers. Null: without a bound.
  std::shared_ptr<MemoryLedger> memory;
  bool handle_signals = false;  // SIGTERM and SIGINT: the first drains, the second ends at once
  std::shared_ptr<HttpCounters> counters = std::make_shared<HttpCounters>();
  std::function<void()> on_drain;  // when draining begins; on the loop thread
};

// One loop thread (the caller of Run) for all sockets, a few workers for parsing and rendering, and
// one for requests with long bodies. The router must outlive the server.
class HttpServer {
 public:
  // Binds and listens; kIo with the address and the reason when that fails.
  static Result<std::unique_ptr<HttpServer>> Listen(HttpServerOptions options,
                                                    const Router& router);
  virtual ~HttpServer() = default;

  virtual uint16_t port() const = 0;

  // Serves until a shutdown has ended. True: every answer was finished; false: some were cut off
  // by the drain timeout or by StopNow.
  virtual bool Run() = 0;

  // Stops accepting, closes idle connections, gives answers under way until the drain timeout.
  // From any thread.
  virtual void BeginShutdown() = 0;
  // Ends every connection. From any thread.
  virtual void StopNow() = 0;

  virtual size_t connections() const = 0;  // open ones; from any thread
};

}  // namespace mach::server
