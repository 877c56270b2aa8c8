#include "server/http/response_head.h"

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/fields.hpp>

#include "base/printable.h"

namespace mach::server {

namespace http = boost::beast::http;

namespace {

constexpr unsigned kHttp11 = 11;  // as Beast writes versions

std::string HttpDate(std::time_t now) {
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, n};
}

}  // namespace

std::string SerializeHead(const HttpResponse& response, const HeadFacts& facts) {
  http::fields fields;
  const auto add_all = [&fields](std::span<const Header> headers) {
    for (const Header& header : headers) fields.insert(header.name, PrintableAscii(header.value));
  };
  fields.insert(http::field::server, "mach");
  fields.insert(http::field::date, HttpDate(facts.now));
  fields.insert("x-request-id", facts.request_id);
  fields.insert("X-Content-Type-Options", "nosniff");
  add_all(facts.cors);
  add_all(response.headers);
  if (response.status != 204) {
    fields.insert(http::field::content_type, PrintableAscii(response.content_type));
    if (facts.chunked) {
      fields.insert(http::field::transfer_encoding, "chunked");
    } else if (!response.streaming) {
      fields.insert(http::field::content_length, std::to_string(response.body.size()));
    }
  }
  fields.insert(http::field::connection, facts.keep_alive ? "keep-alive" : "close");
  const http::fields::writer writer(fields, kHttp11, static_cast<unsigned>(response.status));
  return boost::beast::buffers_to_string(writer.get());
}

}  // namespace mach::server
