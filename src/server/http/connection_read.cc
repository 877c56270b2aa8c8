// The reading half of a connection: heads, bodies, what is left of refused ones.
#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/http/chunked_body.h"
#include "server/http/exchange.h"
#include "server/http/framing.h"
#include "server/http/url.h"

namespace mach::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr size_t kSkippableBytes = 64 * 1024;  // of a refused body: read, to keep the connection

std::string_view Buffered(const boost::beast::flat_buffer& buffer) {
  const auto data = buffer.data();
  return {static_cast<const char*>(data.data()), data.size()};
}

ApiError NoRequest(std::string_view why) {
  return Refusal(400, "invalid_http", "this is no HTTP/1.1 request: " + std::string(why));
}

// Whether the request line ends with a version that is not ours: "HTTP/2.0".
bool NamesOtherVersion(std::string_view head) {
  constexpr std::string_view kPattern = " HTTP/d.d";
  const std::string_view line = head.substr(0, head.find('\r'));
  if (line.size() < kPattern.size()) return false;
  const std::string_view version = line.substr(line.size() - kPattern.size());
  for (size_t i = 0; i < kPattern.size(); ++i) {
    const bool digit = version[i] >= '0' && version[i] <= '9';
    if (kPattern[i] == 'd' ? !digit : version[i] != kPattern[i]) return false;
  }
  return version != " HTTP/1.1" && version != " HTTP/1.0";
}

ApiError HeadTooLarge(const Limits& limits) {
  return Refusal(431, "headers_too_large",
                 "the head of the request is longer than the limit of " +
                     std::to_string(limits.header_bytes) + " bytes");
}

ApiError BodyTooLarge(const Limits& limits) {
  return Refusal(413, "request_too_large",
                 "the request body is larger than the limit of " +
                     std::to_string(limits.body_bytes) + " bytes");
}

// Makes room for so many bytes of a body. Its capacity is doubled from step to step, so that a body
// that never comes takes nothing, and ends at its length.
void Grow(std::string& body, size_t needed, uint64_t length) {
  constexpr uint64_t kLeast = 16 * 1024;
  if (needed <= body.capacity()) return;
  uint64_t capacity = length;
  while (capacity / 2 >= std::max<uint64_t>(needed, kLeast)) capacity -= capacity / 2;
  body.reserve(capacity);
}

}  // namespace

asio::awaitable<bool> Connection::AwaitFirstByte() {
  if (buffer_.size() != 0) co_return true;
  if (input_ended_) co_return false;
  buffer_.shrink_to_fit();  // an idle connection holds no buffer
  idle_ = true;
  idle_since_ = Clock::now();
  Arm(context_.options.limits.idle_timeout);
  error_code ec;
  co_await socket_.async_wait(tcp::socket::wait_read,
                              asio::redirect_error(asio::use_awaitable, ec));
  Disarm();
  idle_ = false;
  if (ec) co_return false;
  const size_t n = socket_.read_some(buffer_.prepare(kReadBytes), ec);
  if (ec == asio::error::would_block) co_return true;  // woken for nothing: the head's reader waits
  if (ec || n == 0) co_return false;
  buffer_.commit(n);
  co_return true;
}

// The bytes of a head, up to its empty line; where they do not come or are none, the refusal is in
// the exchange. False: the client is gone.
asio::awaitable<bool> Connection::ReadHeadBytes(Exchange& exchange, SectionScanner& scanner) {
  using State = SectionScanner::State;
  const Limits& limits = context_.options.limits;
  State state = State::kIncomplete;
  size_t scanned = 0;
  error_code ec;
  Arm(limits.header_timeout);
  for (;;) {
    const std::string_view all = Buffered(buffer_);
    state = scanner.Feed(all.substr(scanned));
    scanned = all.size();
    if (state != State::kIncomplete || scanned > limits.header_bytes) break;
    if (input_ended_) {
      ec = asio::error::eof;
      break;
    }
    const size_t n = co_await socket_.async_read_some(
        buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
    if (ec) break;
    buffer_.commit(n);
  }
  Disarm();
  if (ec && timed_out_) {
    Refuse(exchange,
           Refusal(408, "request_timeout", "the head of the request did not arrive in time"));
  } else if (ec) {
    co_return false;
  } else if (state == State::kMalformed) {
    Refuse(exchange, NoRequest(scanner.fault()));
  } else if (scanner.end() > limits.header_bytes) {
    Refuse(exchange, HeadTooLarge(limits));
  }
  co_return true;
}

// A refusal after which nothing else that comes on the connection can be trusted to be a request.
void Connection::Refuse(Exchange& exchange, const ApiError& error) {
  if (exchange.request.id.empty()) exchange.request.id = RequestId(exchange.request);
  exchange.body_left = true;
  exchange.well_formed = false;
  exchange.admission.answer = ToResponse(error);
}

// Fills the request from the head's bytes; refuses what is no request.
void Connection::ParseHead(Exchange& exchange, std::string_view head) {
  const Limits& limits = context_.options.limits;
  exchange.parser.header_limit(static_cast<uint32_t>(head.size()));
  exchange.parser.body_limit(limits.body_bytes);
  error_code ec;
  exchange.parser.put(asio::buffer(head), ec);
  const auto& message = exchange.parser.get();
  HttpRequest& request = exchange.request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  request.id = RequestId(request);
  exchange.http11 = message.version() >= 11;
  exchange.head_only = request.method == "HEAD";
  if (ec == http::error::body_limit) return Refuse(exchange, BodyTooLarge(limits));
  if (ec == http::error::bad_version && NamesOtherVersion(head)) {
    return Refuse(exchange, Refusal(505, "invalid_http",
                                    "the request is of a version of HTTP that this server does "
                                    "not speak; use HTTP/1.1"));
  }
  if (ec) return Refuse(exchange, NoRequest(ec.message()));
  if (const auto error = CheckFraming(request, exchange.http11)) return Refuse(exchange, *error);
  auto target = ParseTarget(request.target);
  if (!target || (target->path == "*" && request.method != "OPTIONS")) {
    return Refuse(exchange, Refusal(400, "invalid_http",
                                    "the request target is neither a path nor an http URL with a "
                                    "host"));
  }
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  // The target's authority is the one that counts: RFC 9112, section 3.2.2.
  if (!target->authority.empty()) request.SetHeader("Host", std::move(target->authority));

  exchange.well_formed = true;
  exchange.keep_alive = message.keep_alive();
  exchange.body_left =
      exchange.parser.chunked() || exchange.parser.content_length().value_or(0) > 0;
}

asio::awaitable<bool> Connection::ReadHead(Exchange& exchange) {
  exchange.began = Clock::now();
  exchange.request.client = client_;
  SectionScanner scanner(SectionScanner::Section::kHead);
  const bool came = co_await ReadHeadBytes(exchange, scanner);
  if (!came || exchange.admission.answer) co_return came;
  buffer_.consume(scanner.begin());
  const size_t head_bytes = scanner.end() - scanner.begin();
  ParseHead(exchange, Buffered(buffer_).substr(0, head_bytes));
  buffer_.consume(head_bytes);
  if (exchange.admission.answer) co_return true;

  HttpRequest& request = exchange.request;
  const bool has_body = exchange.body_left;
  exchange.admission =
      Admit(request, has_body, context_.options.limits, context_.security, context_.router);
  exchange.cors = context_.security.CorsHeaders(request);
  if (const std::string* expect = request.FindHeader("Expect");
      expect != nullptr && !exchange.admission.answer && has_body) {
    if (!EqualIgnoringCase(*expect, "100-continue")) {
      exchange.admission.answer =
          ToResponse(Refusal(417, "expectation_failed", "only 'Expect: 100-continue' is known"));
      co_return true;
    }
    const bool sent = co_await Write("HTTP/1.1 100 Continue\r\n\r\n");
    co_return sent;
  }
  co_return true;
}

// Reads until the body is whole. False: its refusal is in the exchange, or the client is gone.
asio::awaitable<bool> Connection::ReadBody(Exchange& exchange) {
  if (!exchange.body_left) co_return true;
  const Limits& limits = context_.options.limits;
  const Clock::time_point end = Clock::now() + limits.body_total_timeout;
  const bool chunked = exchange.parser.chunked();
  const uint64_t length = exchange.parser.content_length().value_or(0);
  std::string& body = exchange.request.body;
  ChunkedBody chunks(limits.body_bytes, limits.header_bytes);
  for (;;) {
    const std::string_view all = Buffered(buffer_);
    size_t used = std::min<uint64_t>(all.size(), length - body.size());
    {
      const MemoryScope scope(exchange.account);
      if (chunked) {
        used = chunks.Feed(all, body);
      } else {
        Grow(body, body.size() + used, length);
        body.append(all.substr(0, used));
      }
    }
    buffer_.consume(used);
    if (chunked ? chunks.state() != ChunkedBody::State::kIncomplete : body.size() == length) break;

    if (input_ended_) co_return false;
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    Arm(std::max(milliseconds(0), std::min(limits.body_timeout, left)));
    error_code ec;
    const size_t n = co_await socket_.async_read_some(
        buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
    Disarm();
    if (ec && timed_out_) {
      Refuse(exchange, Refusal(408, "request_timeout", "the request body did not arrive in time"));
    }
    if (ec) co_return false;
    buffer_.commit(n);
  }
  if (chunks.state() == ChunkedBody::State::kTooLarge) {
    Refuse(exchange, BodyTooLarge(limits));
    co_return false;
  }
  if (chunks.state() == ChunkedBody::State::kMalformed) {
    Refuse(exchange, Refusal(400, "invalid_http",
                             "the chunked body is malformed: " + std::string(chunks.fault())));
    co_return false;
  }
  exchange.body_left = false;
  co_return true;
}

// A short body of a refused request is read, so that the connection can go on.
asio::awaitable<bool> Connection::SkipBody(Exchange& exchange) {
  const auto length = exchange.parser.content_length();
  const std::string* expect = exchange.request.FindHeader("Expect");
  if (!length || *length > kSkippableBytes || expect != nullptr) co_return true;
  std::optional<HttpResponse> refusal = std::move(exchange.admission.answer);
  exchange.admission.answer.reset();
  const bool read = co_await ReadBody(exchange);
  exchange.admission.answer = std::move(refusal);
  co_return read || timed_out_;
}

// Lets the client read the answer before the connection goes: a close with unread bytes would reset
// it.
asio::awaitable<void> Connection::Linger() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  if (ec) co_return;
  std::string scratch(kReadBytes, '\0');
  Arm(context_.options.limits.linger);
  size_t total = 0;
  while (!ec && total < context_.options.limits.body_bytes) {
    total += co_await socket_.async_read_some(asio::buffer(scratch),
                                              asio::redirect_error(asio::use_awaitable, ec));
  }
  Disarm();
}

}  // namespace mach::server
