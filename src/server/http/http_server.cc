#include "server/http/http_server.h"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

#include "base/log.h"
#include "server/http/connection.h"
#include "server/http/faults.h"
#include "server/http/url.h"

namespace mach::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kAbortGrace{2'000};   // for answers that were told to end
constexpr milliseconds kAcceptBackoff{100};  // when out of descriptors

ApiError ShuttingDown() {
  ApiError error;
  error.status = 503;
  error.type = "unavailable_error";
  error.code = "draining";
  error.message = "the server is shutting down";
  error.retry_after_s = 10;
  error.retryable = true;
  return error;
}

class Server final : public HttpServer {
 public:
  Server(HttpServerOptions options, const Router& router)
      : options_(std::move(options)),
        security_(options_.security),
        context_{.loop = loop_,
                 .workers = workers_,
                 .long_worker = long_worker_,
                 .options = options_,
                 .security = security_,
                 .router = router},
        workers_(std::max<size_t>(1, options_.workers)),
        long_worker_(1),
        acceptor_(loop_),
        signals_(loop_),
        drain_timer_(loop_) {
    context_.on_closed = [this] {
      if (context_.draining && context_.open.empty()) Finish();
    };
  }

  // Handlers that still run finish before the connections they answer go.
  ~Server() override {
    workers_.join();
    long_worker_.join();
    context_.on_closed = nullptr;
  }

  Status Bind() {
    error_code ec;
    tcp::resolver resolver(loop_);
    const auto found = resolver.resolve(std::string(WithoutBrackets(options_.host)),
                                        std::to_string(options_.port), tcp::resolver::passive, ec);
    const std::string where = HostAndPort(options_.host, options_.port);
    if (ec || found.empty()) {
      return Error{Code::kIo, "cannot listen on " + where + ": " + ec.message()};
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) {
      return Error{Code::kIo, "cannot listen on " + where + ": " + ec.message() +
                                  "; choose another --port (0: any free one)"};
    }
    port_ = acceptor_.local_endpoint(ec).port();
    if (options_.handle_signals) {
      signals_.add(SIGTERM, ec);
      signals_.add(SIGINT, ec);
      AwaitSignal();
    }
    asio::co_spawn(loop_, Accept(), [](const std::exception_ptr& fault) {
      LogFault("accepting connections", fault);
    });
    return Ok();
  }

  uint16_t port() const override { return port_; }
  size_t connections() const override { return context_.open_count.load(); }

  bool Run() override {
    for (bool ended = false; !ended;) {
      try {
        loop_.run();
        ended = true;
      } catch (...) {  // of one of its events; the others go on
        LogFault("an event of the loop", std::current_exception());
      }
    }
    return !cut_off_;
  }

  void BeginShutdown() override {
    asio::post(loop_, [this] { Drain(); });
  }
  void StopNow() override {
    asio::post(loop_, [this] {
      Drain();
      CutOff();
    });
  }

 private:
  asio::awaitable<void> Accept() {
    asio::steady_timer backoff(loop_);
    while (acceptor_.is_open()) {
      error_code ec;
      tcp::socket socket(loop_);
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
      if (ec) {
        if (!acceptor_.is_open()) break;
        LogLimited(accept_lines_, "cannot accept a connection: " + ec.message());
        backoff.expires_after(kAcceptBackoff);
        co_await backoff.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        continue;
      }
      try {
        Admit(std::move(socket));
      } catch (...) {  // this client's connection closes; the next one may fare better
        LogFault("a new connection", std::current_exception());
      }
    }
  }

  void Admit(tcp::socket socket) {
    if (!MakeRoom()) {
      Refuse(std::move(socket));
      return;
    }
    auto connection = std::make_shared<Connection>(context_, std::move(socket));
    asio::co_spawn(loop_, Connection::Run(std::move(connection)),
                   [](const std::exception_ptr& fault) { LogFault("a connection", fault); });
  }

  // Whether there is room for one more connection. At the limit the one that has been idle for the
  // longest gives way: its client expects that of a connection that is kept open, and asks again.
  bool MakeRoom() {
    if (context_.open.size() < options_.limits.connections) return true;
    size_t staying = 0;
    Connection* idlest = nullptr;
    std::chrono::steady_clock::time_point since;
    for (Connection* connection : context_.open) {
      if (connection->closing()) continue;
      ++staying;
      const auto idle = connection->IdleSince();
      if (!idle || (idlest != nullptr && *idle >= since)) continue;
      idlest = connection;
      since = *idle;
    }
    if (staying < options_.limits.connections) return true;
    if (idlest == nullptr) return false;
    idlest->CloseNow();
    LogLimited(give_way_lines_, "an idle connection gave way to a new one: limit=" +
                                    std::to_string(options_.limits.connections));
    return true;
  }

  // Says why in one packet, without a connection's state.
  void Refuse(tcp::socket socket) {
    options_.counters->Count(503);
    ApiError error = ShuttingDown();
    error.code = "too_many_connections";
    error.message = "the server has its limit of " + std::to_string(options_.limits.connections) +
                    " connections open";
    const HttpResponse response = ToResponse(error);
    const std::string text =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 10\r\n"
        "Connection: close\r\nContent-Length: " +
        std::to_string(response.body.size()) + "\r\n\r\n" + response.body;
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    LogLimited(refuse_lines_, "request refused: status=503" + LogText(error) +
                                  " limit=" + std::to_string(options_.limits.connections));
  }

  static void LogLimited(LogLimit& limit, std::string line) {
    const auto left_out = limit.Admit(std::chrono::steady_clock::now().time_since_epoch() /
                                      std::chrono::nanoseconds(1));
    if (!left_out) return;
    if (*left_out > 0) line += " left_out=" + std::to_string(*left_out);
    LogWarning(line);
  }

  void AwaitSignal() {
    signals_.async_wait([this](error_code ec, int signal) {
      if (ec) return;
      if (context_.draining) {
        LogWarning("second signal: ending at once");
        CutOff();
        return;
      }
      LogInfo("signal " + std::to_string(signal) + ": finishing " +
              std::to_string(context_.open.size()) + " open connections");
      AwaitSignal();
      Drain();
    });
  }

  void Drain() {
    if (context_.draining) return;
    context_.draining = true;
    if (options_.on_drain) options_.on_drain();
    error_code ignored;
    acceptor_.close(ignored);
    for (Connection* connection : context_.open) connection->CloseIfIdle();
    if (context_.open.empty()) {
      Finish();
      return;
    }
    drain_timer_.expires_after(options_.limits.drain_timeout);
    drain_timer_.async_wait([this](error_code ec) {
      if (ec) return;
      cut_off_ = true;
      for (Connection* connection : context_.open) connection->Abort(ShuttingDown());
      drain_timer_.expires_after(kAbortGrace);
      drain_timer_.async_wait([this](error_code again) {
        if (!again) CutOff();
      });
    });
  }

  void CutOff() {
    if (!context_.open.empty()) cut_off_ = true;
    for (Connection* connection : context_.open) connection->CloseNow();
  }

  void Finish() {
    error_code ignored;
    drain_timer_.cancel();
    signals_.cancel(ignored);
  }

  // Constant after construction.
  const HttpServerOptions options_;
  const Security security_;

  // Connections that are still pending when the loop dies look at the context: it outlives it.
  ConnectionContext context_;
  asio::io_context loop_{1};
  asio::thread_pool workers_;
  asio::thread_pool long_worker_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  asio::steady_timer drain_timer_;
  LogLimit accept_lines_{5, std::chrono::seconds(10)};
  LogLimit give_way_lines_{5, std::chrono::seconds(10)};
  LogLimit refuse_lines_{5, std::chrono::seconds(10)};
  uint16_t port_ = 0;
  bool cut_off_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(HttpServerOptions options,
                                                       const Router& router) {
  auto server = std::make_unique<Server>(std::move(options), router);
  MACH_RETURN_IF_ERROR(server->Bind());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace mach::server
