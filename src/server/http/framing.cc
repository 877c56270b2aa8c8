#include "server/http/framing.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/printable.h"
#include "server/http/url.h"

namespace mach::server {
namespace {

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

bool IsDigitByte(char c) { return c >= '0' && c <= '9'; }
bool IsAlnumByte(char c) {
  return IsDigitByte(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsTokenByte(char c) {
  return IsAlnumByte(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string Quoted(std::string_view value) {
  constexpr size_t kMostBytes = 60;
  return "'" + PrintableAscii(value).substr(0, kMostBytes) + "'";
}

size_t CountHeaders(const HttpRequest& request, std::string_view name) {
  return static_cast<size_t>(
      std::count_if(request.headers.begin(), request.headers.end(),
                    [&](const Header& header) { return EqualIgnoringCase(header.name, name); }));
}

std::optional<ApiError> CheckTransferEncoding(const HttpRequest& request, bool http11) {
  const std::string* coding = request.FindHeader("Transfer-Encoding");
  if (coding == nullptr) return std::nullopt;
  if (!http11) {
    return Refusal(400, "invalid_http",
                   "the request has Transfer-Encoding in HTTP/1.0, which has none; send "
                   "Content-Length, or HTTP/1.1");
  }
  if (request.FindHeader("Content-Length") != nullptr) {
    return Refusal(400, "invalid_http",
                   "the request has both Transfer-Encoding and Content-Length; send one of them");
  }
  if (CountHeaders(request, "Transfer-Encoding") > 1) {
    return Refusal(400, "invalid_http",
                   "the request has several Transfer-Encoding fields; send one, 'chunked'");
  }
  if (EqualIgnoringCase(*coding, "chunked")) return std::nullopt;
  // Of codings that end in "chunked" the body's end could be found, but not its content.
  return Refusal(501, "not_supported",
                 "Transfer-Encoding " + Quoted(*coding) + " is not supported; expected 'chunked'");
}

std::optional<ApiError> CheckContentLength(const HttpRequest& request) {
  const std::string* length = request.FindHeader("Content-Length");
  if (length == nullptr) return std::nullopt;
  if (CountHeaders(request, "Content-Length") > 1) {
    return Refusal(400, "invalid_http", "the request has several Content-Length fields; send one");
  }
  if (!length->empty() && std::all_of(length->begin(), length->end(), IsDigitByte)) {
    return std::nullopt;
  }
  return Refusal(400, "invalid_http",
                 "Content-Length is " + Quoted(*length) + ", expected decimal digits alone");
}

std::optional<ApiError> CheckHost(const HttpRequest& request, bool http11) {
  const std::string* host = request.FindHeader("Host");
  if (host == nullptr) {
    if (!http11) return std::nullopt;
    return BadRequest("missing_host", "", "the request has no Host header; HTTP/1.1 demands one");
  }
  if (CountHeaders(request, "Host") > 1) {
    return Refusal(400, "invalid_http", "the request has several Host fields; send one");
  }
  if (host->empty() || ParseAuthority(*host)) return std::nullopt;
  return Refusal(400, "invalid_http",
                 "Host is " + Quoted(*host) + ", expected NAME, NAME:PORT or [ADDRESS]:PORT");
}

}  // namespace

std::optional<ApiError> CheckFraming(const HttpRequest& request, bool http11) {
  if (auto error = CheckTransferEncoding(request, http11)) return error;
  if (auto error = CheckContentLength(request)) return error;
  return CheckHost(request, http11);
}

SectionScanner::State SectionScanner::Fail(std::string_view fault) {
  fault_ = fault;
  return state_ = State::kMalformed;
}

bool SectionScanner::EndLine() {
  const bool is_field = !request_line_;
  request_line_ = false;
  line_bytes_ = 0;
  return !is_field || std::exchange(has_name_, false);
}

SectionScanner::State SectionScanner::Feed(std::string_view bytes) {
  if (state_ != State::kIncomplete) return state_;
  for (const char c : bytes) {
    ++end_;
    if (after_cr_) {
      if (c != '\n') return Fail("a carriage return without a line feed");
      after_cr_ = false;
      if (line_bytes_ > 0) {
        if (!EndLine()) return Fail("a header line without a colon");
      } else if (request_line_) {
        begin_ = end_;  // an empty line in front: RFC 9112, section 2.2
      } else {
        return state_ = State::kComplete;
      }
      continue;
    }
    if (c == '\r') {
      after_cr_ = true;
      continue;
    }
    if (c == '\n') return Fail("a line feed without a carriage return");
    if (IsControl(c)) return Fail("a control character");
    if (line_bytes_ == 0 && (c == ' ' || c == '\t')) {
      return Fail("a line that begins with white space");
    }
    ++line_bytes_;
    if (request_line_ || has_name_) continue;
    if (c == ':' && line_bytes_ > 1) {
      has_name_ = true;
    } else if (!IsTokenByte(c)) {
      return Fail("a header name with a character that names do not have, or white space after it");
    }
  }
  return state_;
}

}  // namespace mach::server
