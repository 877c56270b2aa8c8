// Where a request's head ends and what frames its body, as strictly as RFC 9112 allows: a program
// in front of the server that reads differently must not see one request where the server sees two.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "server/http/api_error.h"
#include "server/http/http.h"

namespace mach::server {

// Finds the empty line that ends a section of field lines, as its bytes come. One section.
class SectionScanner {
 public:
  enum class Section : unsigned char { kHead, kTrailers };  // kHead: with a request line
  enum class State : unsigned char { kIncomplete, kComplete, kMalformed };

  explicit SectionScanner(Section section) : request_line_(section == Section::kHead) {}

  // bytes: what follows those of earlier calls.
  State Feed(std::string_view bytes);

  size_t begin() const { return begin_; }  // of the request line, after empty lines in front
  size_t end() const { return end_; }      // kComplete: after the empty line
  std::string_view fault() const { return fault_; }  // kMalformed

 private:
  State Fail(std::string_view fault);
  bool EndLine();  // false: the line is malformed

  bool request_line_;  // is what comes
  bool after_cr_ = false;
  bool has_name_ = false;  // of the field line: its colon has come
  size_t line_bytes_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  State state_ = State::kIncomplete;
  std::string_view fault_;
};

// What Transfer-Encoding, Content-Length and Host must be for a request's end and its receiver to
// be certain: 400 or 501 where they are not.
std::optional<ApiError> CheckFraming(const HttpRequest& request, bool http11);

}  // namespace mach::server
