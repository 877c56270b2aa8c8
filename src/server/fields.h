// Request parameters as a table: what validates a body also describes it.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "json/value.h"
#include "server/api_error.h"
#include "server/generation_request.h"
#include "server/limits.h"

namespace mach::server {

enum class FieldType : unsigned char {
  kBoolean,
  kInteger,  // 8.0 is one
  kNumber,
  kString,
  kArray,
  kObject,
  kAny,  // the reader checks
};

enum class Handling : unsigned char {
  kHonoured,
  kAccepted,  // has no effect on what we answer
  kRefused,   // would change the answer in a way we cannot: 400, but for null, false, 0 and empty
};

// Reads a value that has the field's type and range. Integers arrive as such.
using FieldReader = std::optional<ApiError> (*)(const json::Value& value, const Limits& limits,
                                                GenerationRequest& request);

struct Field {
  std::string_view name;
  FieldType type = FieldType::kAny;
  Handling handling = Handling::kHonoured;
  std::string_view help;  // for kRefused: what to do instead
  FieldReader read = nullptr;
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
};

// Reads the members of a request body in the order of the table, so that of two aliases the first
// row wins. Null is absent. Members without a row are named in request.ignored.
std::optional<ApiError> ReadFields(const json::Object& body, std::span<const Field> fields,
                                   const Limits& limits, GenerationRequest& request);

// "'temperature' is a string, expected a number"
ApiError WrongType(std::string_view param, const json::Value& found, std::string_view expected);
ApiError WrongValue(std::string_view param, std::string message);

// The object of a request body, or 400 with the offset of what is wrong.
std::variant<json::Object, ApiError> ParseBody(std::string_view body, const Limits& limits);

// The integer that a number is (8.0 is 8).
std::optional<int64_t> AsInteger(const json::Value& value);

}  // namespace mach::server
