#include "server/http/connection.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <malloc.h>

#include "base/log.h"
#include "server/http/exchange.h"
#include "server/http/faults.h"

namespace mach::server {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kLookAgain{5};
constexpr size_t kLargeWork = size_t{8} << 20;  // bytes, see GiveMemoryBack

ApiError Stopped() {
  return FromError({Code::kCancelled,
                    "the request was stopped before its answer: its client has left, or the "
                    "server is shutting down"},
                   "");
}

}  // namespace

void Wakeup::Notify() noexcept {
  if (posted_.exchange(true)) return;
  try {
    asio::post(loop_, [self = shared_from_this()] {
      self->posted_ = false;
      self->NotifyOnLoop();
    });
  } catch (...) {  // no memory for the message: the one who waits looks again by itself
    posted_ = false;
  }
}

void Wakeup::NotifyOnLoop() {
  signaled_ = true;
  timer_.cancel();
}

asio::awaitable<void> Wakeup::WaitUntil(std::chrono::steady_clock::time_point until) {
  if (!signaled_) {
    timer_.expires_at(std::min(until, std::chrono::steady_clock::now() + kLookAgain));
    error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  signaled_ = false;
}

Connection::Connection(ConnectionContext& context, tcp::socket socket)
    : context_(context),
      socket_(std::move(socket)),
      deadline_(context.loop),
      wakeup_(std::make_shared<Wakeup>(context.loop)),
      buffer_(context.options.limits.header_bytes + context.options.limits.pipelined_bytes +
              kReadBytes) {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  const auto endpoint = socket_.remote_endpoint(ignored);
  client_ = endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
  context_.open.insert(this);
  ++context_.open_count;
  ++context_.options.counters->open_connections;
}

Connection::~Connection() {
  context_.open.erase(this);
  --context_.open_count;
  --context_.options.counters->open_connections;
  if (context_.on_closed) context_.on_closed();
}

void Connection::Arm(milliseconds timeout) {
  timed_out_ = false;
  deadline_.expires_after(timeout);
  deadline_.async_wait([weak = weak_from_this(), round = ++deadline_round_](error_code ec) {
    const auto self = weak.lock();
    if (ec || self == nullptr || self->deadline_round_ != round) return;
    self->timed_out_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void Connection::Disarm() {
  ++deadline_round_;
  deadline_.cancel();
}

void Connection::CloseNow() {
  closing_ = true;
  error_code ignored;
  socket_.close(ignored);
  wakeup_->NotifyOnLoop();
}

void Connection::CloseIfIdle() {
  if (idle_) CloseNow();
}

std::optional<Connection::Clock::time_point> Connection::IdleSince() const {
  if (!idle_ || closing_) return std::nullopt;
  if (!has_answered_ && Clock::now() - idle_since_ < context_.options.limits.header_timeout) {
    return std::nullopt;
  }
  error_code ec;
  const size_t unread = socket_.available(ec);
  if (ec || unread > 0) return std::nullopt;
  return idle_since_;
}

void Connection::Abort(const ApiError& error) {
  if (handling_ != nullptr) *handling_ = true;
  if (reply_ == nullptr) return;
  reply_->Abort(error);
  wakeup_->NotifyOnLoop();
}

asio::awaitable<void> Connection::Run(std::shared_ptr<Connection> self) {
  for (;;) {
    const bool go_on = co_await self->Serve();
    self->GiveMemoryBack();
    if (!go_on || self->closing_ || self->context_.draining) break;
  }
  self->Disarm();
  error_code ignored;
  self->socket_.shutdown(tcp::socket::shutdown_both, ignored);
  self->socket_.close(ignored);
}

asio::awaitable<bool> Connection::Serve() {
  const bool began = co_await AwaitFirstByte();
  if (!began) co_return false;
  Exchange exchange;
  if (const auto& memory = context_.options.memory; memory != nullptr) {
    exchange.account =
        std::make_shared<MemoryAccount>(memory, MemoryTag::kRequests, memory->limit() / 4 * 3);
  }
  const bool have_head = co_await ReadHead(exchange);
  if (!have_head) co_return false;

  if (!exchange.admission.answer) {
    bool have_body = false;
    std::exception_ptr fault;
    try {
      have_body = co_await ReadBody(exchange);
    } catch (...) {
      fault = std::current_exception();
    }
    if (fault) {
      const MemoryScope scope(exchange.account);
      std::string().swap(exchange.request.body);
      const MemoryScope uncounted(nullptr);
      Refuse(exchange, FromException(fault, exchange.request.id, exchange.account.get()));
    }
    if (!have_body && !exchange.admission.answer) co_return false;
  } else if (exchange.body_left && exchange.well_formed) {
    const bool skipped = co_await SkipBody(exchange);
    if (!skipped) co_return false;
  }
  if (exchange.body_left) exchange.keep_alive = false;
  if (exchange.admission.answer) {
    HttpResponse answer = std::move(*exchange.admission.answer);
    co_await Send(exchange, std::move(answer));
  } else {
    co_await Dispatch(exchange);
  }
  if (exchange.account != nullptr) peak_bytes_ = exchange.account->peak_bytes();
  has_answered_ = true;
  if (exchange.body_left && !exchange.client_gone) co_await Linger();
  co_return exchange.keep_alive && !exchange.client_gone;
}

// Large work leaves the allocator with free memory that it keeps for later work; the system can use
// it now.
void Connection::GiveMemoryBack() {
  if (std::exchange(peak_bytes_, 0) < kLargeWork || context_.trims.exchange(true)) return;
  try {
    asio::post(context_.long_worker, [&trims = context_.trims] {
      trims = false;
      malloc_trim(0);
    });
  } catch (...) {  // no memory for the message: after the next large work
    context_.trims = false;
  }
}

// REQUIRES the watch of this client, which stops the handler when the client leaves; soon after the
// end of its input, too, which is how leaving begins.
asio::awaitable<HandlerResult> Connection::RunOnWorker(Exchange& exchange, const Watch& watch) {
  // The worker's own, since this coroutine may end before the worker does.
  struct Job {
    const Route& route;
    HttpRequest request;
    std::string tail;
    std::shared_ptr<MemoryAccount> account;
    HandlerResult result = HttpResponse{.status = 500};  // where no other can be made
    std::atomic<bool> done{false};
  };
  const bool is_long = exchange.request.body.size() > context_.options.limits.short_body_bytes;
  handling_ = std::make_shared<std::atomic<bool>>(false);
  exchange.request.cancelled = handling_;
  Router::Match& match = exchange.admission.match;
  const std::shared_ptr<Job> job(
      new Job{*match.route, std::move(exchange.request), std::move(match.tail), exchange.account});
  asio::post(is_long ? context_.long_worker : context_.workers, [job, wakeup = wakeup_] {
    try {
      job->result = Guarded(job->request.id, job->account, [&]() -> HandlerResult {
        if (*job->request.cancelled) return ToResponse(Stopped());
        return job->route.handle(job->request, job->tail);
      });
    } catch (...) {
      LogFault("a handler", std::current_exception());
    }
    job->done.store(true, std::memory_order_release);
    wakeup->Notify();
  });
  const Clock::time_point began = Clock::now();
  while (!job->done.load(std::memory_order_acquire)) {
    Clock::time_point until = Clock::time_point::max();
    if (input_ended_) until = std::max(began, *input_ended_) + context_.options.limits.half_closed;
    if (watch.gone || closing_ || Clock::now() >= until) *handling_ = true;
    if (*handling_) until = Clock::time_point::max();
    co_await wakeup_->WaitUntil(until);
  }
  handling_.reset();
  exchange.request = std::move(job->request);
  {
    const MemoryScope scope(exchange.account);
    std::string().swap(exchange.request.body);  // an answer takes longer than its request is needed
  }
  co_return std::move(job->result);
}

asio::awaitable<void> Connection::Dispatch(Exchange& exchange) {
  const auto watch = std::make_shared<Watch>();
  std::exception_ptr fault;
  try {
    co_await Answer(exchange, watch);
  } catch (...) {
    fault = std::current_exception();
  }
  watch->stop = true;
  error_code ignored;
  if (!watch->finished) socket_.cancel(ignored);
  while (!watch->finished) co_await wakeup_->WaitUntil(Clock::time_point::max());
  if (!fault) co_return;
  exchange.keep_alive = false;  // an answer without its end tells that it has failed
  const ApiError error = FromException(fault, exchange.request.id, exchange.account.get());
  if (exchange.head_sent) {
    exchange.failed = true;
    LogExchange(exchange, LogText(error));
  } else {
    co_await Send(exchange, ToResponse(error));
  }
}

void Connection::BeginWatch(const std::shared_ptr<Watch>& watch) {
  if (!watch->finished || input_ended_) return;
  watch->finished = false;
  asio::co_spawn(context_.loop, WatchClient(shared_from_this(), watch), asio::detached);
}

asio::awaitable<void> Connection::Answer(Exchange& exchange, std::shared_ptr<Watch> watch) {
  const Route& route = *exchange.admission.match.route;
  HandlerResult result;
  if (route.runs_on == RunsOn::kWorker) {
    BeginWatch(watch);
    result = co_await RunOnWorker(exchange, *watch);
    if (watch->gone || closing_) {
      exchange.client_gone = true;
      LogExchange(exchange, "");
      co_return;
    }
  } else {
    result = Guarded(exchange.request.id, exchange.account,
                     [&] { return route.handle(exchange.request, exchange.admission.match.tail); });
  }
  if (auto* response = std::get_if<HttpResponse>(&result)) {
    co_await Send(exchange, std::move(*response));
  } else {
    co_await SendReply(exchange, std::move(std::get<std::unique_ptr<Reply>>(result)), watch);
  }
}

// Keeps a read pending, so that a client that leaves is noticed at once. What it sends meanwhile is
// the beginning of its next request.
asio::awaitable<void> Connection::WatchClient(std::shared_ptr<Connection> self,
                                              std::shared_ptr<Watch> watch) {
  try {
    while (!watch->stop && self->buffer_.size() < self->context_.options.limits.pipelined_bytes) {
      error_code ec;
      const size_t n = co_await self->socket_.async_read_some(
          self->buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
      self->buffer_.commit(n);
      if (ec == asio::error::eof) {
        self->input_ended_ = Clock::now();
        break;
      }
      if (ec) {
        watch->gone = !watch->stop;
        break;
      }
    }
  } catch (...) {
    LogFault("the watch of a client", std::current_exception());
    watch->gone = true;
  }
  watch->finished = true;
  self->wakeup_->NotifyOnLoop();
}

// details: of a reply that came over time; empty: the answer was there at once.
void Connection::LogExchange(const Exchange& exchange, std::string_view details) const {
  const Clock::time_point now = Clock::now();
  const std::chrono::duration<double, std::milli> ms = now - exchange.began;
  char time[32];
  std::snprintf(time, sizeof time, "%.1f", ms.count());
  // 499 as nginx has it: the client left before the end.
  const int status = exchange.client_gone ? 499 : exchange.status;
  context_.options.counters->Count(status);
  const bool refused = status >= 400 && !exchange.client_gone;
  const bool our_fault =
      exchange.failed || status == 500;  // never left out: nothing else tells why
  std::optional<uint64_t> left_out = 0;
  if (!our_fault && (refused || details.empty())) {
    LogLimit& limit = refused ? context_.refused_lines : context_.answered_lines;
    left_out = limit.Admit(now.time_since_epoch() / std::chrono::nanoseconds(1));
    if (!left_out) return;
  }
  std::string line = "request id=" + exchange.request.id + " client=" + client_ +
                     " method=" + exchange.request.method.substr(0, 20) +
                     " path=" + exchange.request.path.substr(0, 200) +
                     " status=" + std::to_string(status) + " ms=" + time + exchange.log;
  line += details;
  if (*left_out > 0) line += " left_out=" + std::to_string(*left_out);
  LogLine(our_fault ? LogLevel::kError : refused ? LogLevel::kWarning : LogLevel::kInfo, line);
}

}  // namespace mach::server
