// One client connection: reads requests, sends answers, notices when the client leaves. Loop thread
// only; included by the two files that know Asio.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "base/log_limit.h"
#include "base/memory_account.h"
#include "server/http/framing.h"
#include "server/http/http_server.h"

namespace mach::server {

class Connection;

// What connections share. Owned by the server, outlives them.
struct ConnectionContext {
  boost::asio::io_context& loop;
  boost::asio::thread_pool& workers;
  boost::asio::thread_pool& long_worker;
  const HttpServerOptions& options;
  const Security& security;
  const Router& router;
  bool draining = false;
  std::atomic<bool> trims{false};  // the allocator is about to give memory back
  std::set<Connection*> open;
  std::atomic<size_t> open_count{0};
  std::function<void()> on_closed;  // after a connection left `open`
  // Lines of requests.
  LogLimit answered_lines{options.limits.log_burst, options.limits.log_interval};
  LogLimit refused_lines{options.limits.log_burst, options.limits.log_interval};
};

// Wakes the coroutine that waits on it. Notify from any thread, the rest on the loop thread.
class Wakeup : public std::enable_shared_from_this<Wakeup> {
 public:
  explicit Wakeup(boost::asio::io_context& loop) : loop_(loop), timer_(loop) {}
  void Notify() noexcept;
  void NotifyOnLoop();
  // Returns at the next (or a past, unseen) Notify, at the time, or before: a Notify that found no
  // memory is made up for by looking again.
  boost::asio::awaitable<void> WaitUntil(std::chrono::steady_clock::time_point until);

 private:
  boost::asio::io_context& loop_;
  boost::asio::steady_timer timer_;
  std::atomic<bool> posted_{false};
  bool signaled_ = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionContext& context, boost::asio::ip::tcp::socket socket);
  ~Connection();

  // self keeps the connection alive while the coroutine runs.
  static boost::asio::awaitable<void> Run(std::shared_ptr<Connection> self);

  void CloseIfIdle();
  // Since when the connection has waited for a request, where another one may take its place: it
  // has had an answer, or the time that a head may take, and nothing has come that is unread.
  // nullopt: it is in use.
  std::optional<std::chrono::steady_clock::time_point> IdleSince() const;
  bool closing() const { return closing_; }
  void Abort(const ApiError& error);  // the answer under way, if there is one
  void CloseNow();

 private:
  using tcp = boost::asio::ip::tcp;
  using Clock = std::chrono::steady_clock;
  struct Exchange;
  struct Watch;
  static constexpr size_t kReadBytes = 16 * 1024;

  // One request and its answer; false: the connection is to be closed.
  boost::asio::awaitable<bool> Serve();
  boost::asio::awaitable<bool> AwaitFirstByte();
  boost::asio::awaitable<bool> ReadHead(Exchange& exchange);
  boost::asio::awaitable<bool> ReadHeadBytes(Exchange& exchange, SectionScanner& scanner);
  void ParseHead(Exchange& exchange, std::string_view head);
  static void Refuse(Exchange& exchange, const ApiError& error);
  boost::asio::awaitable<bool> ReadBody(Exchange& exchange);
  boost::asio::awaitable<bool> SkipBody(Exchange& exchange);
  boost::asio::awaitable<void> Dispatch(Exchange& exchange);
  boost::asio::awaitable<HandlerResult> RunOnWorker(Exchange& exchange, const Watch& watch);
  boost::asio::awaitable<void> Answer(Exchange& exchange, std::shared_ptr<Watch> watch);
  void BeginWatch(const std::shared_ptr<Watch>& watch);
  void GiveMemoryBack();
  boost::asio::awaitable<void> PumpReply(Exchange& exchange, Reply& reply, const Watch& watch);
  boost::asio::awaitable<void> SendReply(Exchange& exchange, std::unique_ptr<Reply> reply,
                                         std::shared_ptr<Watch> watch);
  static boost::asio::awaitable<void> WatchClient(std::shared_ptr<Connection> self,
                                                  std::shared_ptr<Watch> watch);
  boost::asio::awaitable<void> Send(Exchange& exchange, HttpResponse response);
  boost::asio::awaitable<bool> SendStep(Exchange& exchange, ReplyStep step,
                                        std::shared_ptr<MemoryAccount> account);
  boost::asio::awaitable<bool> Write(std::string_view head, std::string_view body = {},
                                     std::string_view tail = {});
  boost::asio::awaitable<void> Linger();
  void LogExchange(const Exchange& exchange, std::string_view details) const;
  std::string FormatHead(Exchange& exchange, const HttpResponse& response) const;

  // Every operation on the socket that is pending when the time comes is cancelled.
  void Arm(std::chrono::milliseconds timeout);
  void Disarm();

  ConnectionContext& context_;
  tcp::socket socket_;
  std::string client_;
  boost::asio::steady_timer deadline_;
  uint64_t deadline_round_ = 0;
  bool timed_out_ = false;
  bool idle_ = false;
  Clock::time_point idle_since_;
  bool has_answered_ = false;
  bool closing_ = false;
  // Since when the client has sent its last byte; nothing: it may send more. A read that saw the
  // end is not repeated: asio tells it once, and the next read would wait for the deadline.
  std::optional<Clock::time_point> input_ended_;
  Reply* reply_ = nullptr;                       // under way, owned by SendReply
  std::shared_ptr<std::atomic<bool>> handling_;  // its cancellation, while a worker has the request
  size_t peak_bytes_ = 0;                        // of the last request's memory
  std::shared_ptr<Wakeup> wakeup_;
  boost::beast::flat_buffer buffer_;
};

}  // namespace mach::server
