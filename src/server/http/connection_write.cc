// The writing half of a connection: answers that are there, and answers that come over time.
#include <array>
#include <ctime>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/chunk_encode.hpp>

#include "server/http/exchange.h"
#include "server/http/response_head.h"

namespace mach::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::buffers_to_string;
using boost::system::error_code;

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
    if (watch.gone || input_ended_ || closing_) {
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

std::string Connection::FormatHead(Exchange& exchange, const HttpResponse& response) const {
  exchange.status = response.status;
  exchange.log = response.log;
  exchange.chunked = response.streaming && exchange.http11;
  if (context_.draining || (response.streaming && !exchange.http11)) exchange.keep_alive = false;
  return SerializeHead(response, {.now = std::time(nullptr),
                                  .request_id = exchange.request.id,
                                  .cors = exchange.cors,
                                  .chunked = exchange.chunked,
                                  .keep_alive = exchange.keep_alive});
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
      head += buffers_to_string(http::chunk_header(body.size()));
      tail = buffers_to_string(http::chunk_crlf());
    }
    if (exchange.chunked && step.done && !exchange.head_only) {
      tail += buffers_to_string(http::make_chunk_last());
    }
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

}  // namespace mach::server
