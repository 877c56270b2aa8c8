#include "server/connection.h"

#include <array>
#include <ctime>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <malloc.h>

#include "base/log.h"
#include "server/exchange.h"
#include "server/faults.h"

namespace mach::server {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kLookAgain{5};
constexpr size_t kLargeWork = size_t{8} << 20;  // bytes, see GiveMemoryBack

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, n};
}

// The line in front of a chunk's data.
std::string ChunkSize(size_t bytes) {
  char size[20];
  const int n = std::snprintf(size, sizeof size, "%zx\r\n", bytes);
  return {size, static_cast<size_t>(n)};
}

ApiError Stopped() {
  return FromError({Code::kCancelled,
                    "the request was stopped before its answer: its client has left, or the "
                    "server is shutting down"},
                   "");
}

}  // namespace

// Shared with the coroutine that reads while an answer is under way.
struct Connection::Watch {
  bool stop = false;
  bool gone = false;
  bool finished = true;  // false while the coroutine runs
};

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
  if (MemoryLedger* memory = context_.options.memory.get()) {
    exchange.account =
        std::make_shared<MemoryAccount>(*memory, MemoryTag::kRequests, memory->limit() / 4 * 3);
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
  asio::post(context_.long_worker, [&trims = context_.trims] {
    trims = false;
    malloc_trim(0);
  });
}

// REQUIRES the watch of this client, which stops the handler when the client leaves.
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
  while (!job->done.load(std::memory_order_acquire)) {
    if (watch.gone || closing_) *handling_ = true;
    co_await wakeup_->WaitUntil(Clock::time_point::max());
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
  if (!watch->finished) return;
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

asio::awaitable<void> Connection::Send(Exchange& exchange, HttpResponse response) {
  ReplyStep step;
  step.head = std::move(response);
  step.done = true;
  const bool sent = co_await SendStep(exchange, std::move(step), nullptr);
  exchange.client_gone = !sent;
  LogExchange(exchange, "");
}

asio::awaitable<void> Connection::SendReply(Exchange& exchange, std::unique_ptr<Reply> reply,
                                            std::shared_ptr<Watch> watch) {
  reply_ = reply.get();
  std::string details;
  std::exception_ptr fault;
  try {
    {
      const MemoryScope scope(exchange.account);
      reply->Start([wakeup = wakeup_] { wakeup->Notify(); });
    }
    BeginWatch(watch);
    co_await PumpReply(exchange, *reply, *watch);
    details = reply->Summary();
  } catch (...) {
    fault = std::current_exception();
  }
  reply_ = nullptr;
  reply.reset();  // cancels what is left
  if (fault) std::rethrow_exception(fault);
  LogExchange(exchange, details);
}

// Sends what the reply has until it is done or the client is gone.
asio::awaitable<void> Connection::PumpReply(Exchange& exchange, Reply& reply, const Watch& watch) {
  Clock::time_point last_byte = Clock::now();
  bool streaming = false;
  for (;;) {
    if (watch.gone || closing_) {
      exchange.client_gone = true;
      break;
    }
    ReplyStep step = [&] {
      const MemoryScope scope(exchange.account);
      return reply.Take();
    }();
    streaming = streaming || (step.head && step.head->streaming);
    const auto interval = reply.PingInterval();
    if (!step.head && step.bytes.empty() && !step.done && streaming && interval &&
        Clock::now() >= last_byte + *interval) {
      step.bytes = reply.Ping();
    }
    const bool done = step.done;
    if (step.head || !step.bytes.empty() || done) {
      const bool sent = co_await SendStep(exchange, std::move(step), exchange.account);
      if (!sent) {
        exchange.client_gone = true;
        break;
      }
      last_byte = Clock::now();
    }
    if (done) break;
    // Outside of the co_await: g++ 12 evaluates both arms of a conditional within one.
    Clock::time_point deadline = Clock::time_point::max();
    if (streaming && interval) deadline = last_byte + *interval;
    if (const auto wake_at = reply.WakeAt()) deadline = std::min(deadline, *wake_at);
    co_await wakeup_->WaitUntil(deadline);
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
      if (ec) {
        self->input_ended_ = ec != asio::error::operation_aborted;
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

std::string Connection::FormatHead(Exchange& exchange, const HttpResponse& response) const {
  exchange.status = response.status;
  exchange.log = response.log;
  const bool bodiless = response.status == 204;
  exchange.chunked = response.streaming && exchange.http11;
  if (context_.draining || (response.streaming && !exchange.http11)) exchange.keep_alive = false;

  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += ReasonPhrase(response.status);
  head += "\r\n";
  const auto add = [&head](std::string_view name, std::string_view value) {
    head += name;
    head += ": ";
    head += HeaderSafe(value);
    head += "\r\n";
  };
  add("Server", "mach");
  add("Date", HttpDate());
  add("x-request-id", exchange.request.id);
  add("X-Content-Type-Options", "nosniff");
  for (const Header& header : exchange.cors) add(header.name, header.value);
  for (const Header& header : response.headers) add(header.name, header.value);
  if (!bodiless) {
    add("Content-Type", response.content_type);
    if (exchange.chunked) {
      add("Transfer-Encoding", "chunked");
    } else if (!response.streaming) {
      add("Content-Length", std::to_string(response.body.size()));
    }
  }
  add("Connection", exchange.keep_alive ? "keep-alive" : "close");
  head += "\r\n";
  return head;
}

// account: paid for the step; null: nobody did, or it does not matter any more.
asio::awaitable<bool> Connection::SendStep(Exchange& exchange, ReplyStep step,
                                           std::shared_ptr<MemoryAccount> account) {
  std::string head;
  std::string body;
  std::string tail;
  {
    const MemoryScope scope(account);
    if (step.head) {
      head = FormatHead(exchange, *step.head);
      exchange.head_sent = true;
      body = std::move(step.head->body);
    }
    if (body.empty()) {
      body = std::move(step.bytes);
    } else {
      body += step.bytes;
    }
    if (exchange.head_only) std::string().swap(body);
    if (exchange.chunked && !body.empty()) {
      head += ChunkSize(body.size());
      tail = "\r\n";
    }
    if (exchange.chunked && step.done && !exchange.head_only) tail += "0\r\n\r\n";
  }
  bool sent = true;
  if (!head.empty() || !body.empty() || !tail.empty()) sent = co_await Write(head, body, tail);
  const MemoryScope scope(account);
  for (std::string* part : {&head, &body, &tail}) std::string().swap(*part);
  co_return sent;
}

// The parts must live until it has ended.
asio::awaitable<bool> Connection::Write(std::string_view head, std::string_view body,
                                        std::string_view tail) {
  const std::array<asio::const_buffer, 3> parts = {asio::buffer(head), asio::buffer(body),
                                                   asio::buffer(tail)};
  Arm(context_.options.limits.write_timeout);
  error_code ec;
  co_await asio::async_write(socket_, parts, asio::redirect_error(asio::use_awaitable, ec));
  Disarm();
  co_return !ec;
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
