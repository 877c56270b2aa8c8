// Request parameters as a table: what validates a body also describes it.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json/value.h"
#include "server/http/api_error.h"
#include "server/http/limits.h"
#include "server/protocol/generation_request.h"

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

// A row of a request's table without its reader: for checks and for listings.
struct FieldSpec {
  std::string_view name;
  FieldType type = FieldType::kAny;
  Handling handling = Handling::kHonoured;
  std::string_view help;  // for kRefused: what to do instead
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool required = false;
};

// What is wrong with a field; nothing when all is well.
using FieldError = std::optional<ApiError>;

// Reads a value that has the field's type and range. Integers arrive as such.
template <class Target>
using FieldReaderOf = FieldError (*)(const json::Value& value, const Limits& limits,
                                     Target& target);

template <class Target>
struct FieldOf {
  std::string_view name;
  FieldType type = FieldType::kAny;
  Handling handling = Handling::kHonoured;
  std::string_view help;
  FieldReaderOf<Target> read = nullptr;
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool required = false;

  FieldSpec spec() const { return {name, type, handling, help, minimum, maximum, required}; }
};
using Field = FieldOf<GenerationRequest>;

// What is to be read of a field: nothing where it is absent, null, or not to be read.
struct FieldValue {
  const json::Value* value = nullptr;
  json::Value integer;  // what value points to, for integers
  FieldError error;
};
void CheckField(const json::Object& body, const FieldSpec& field, FieldValue& out);

// Members of a body without a row, fit for a header; the first few.
std::vector<std::string> UnknownMembers(const json::Object& body,
                                        const std::vector<FieldSpec>& fields);

template <class Target>
std::vector<FieldSpec> Specs(std::span<const FieldOf<Target>> fields) {
  std::vector<FieldSpec> specs;
  for (const FieldOf<Target>& field : fields) specs.push_back(field.spec());
  return specs;
}

// Reads the members of a request body in the order of the table, so that of two aliases the first
// row wins. Null is absent. Members without a row are named in `ignored`.
template <class Target>
std::optional<ApiError> ReadFields(const json::Object& body,
                                   std::span<const FieldOf<Target>> fields, const Limits& limits,
                                   Target& target, std::vector<std::string>& ignored) {
  for (const FieldOf<Target>& field : fields) {
    FieldValue found;
    CheckField(body, field.spec(), found);
    if (found.error) return std::move(found.error);
    if (found.value == nullptr) continue;
    if (auto error = field.read(*found.value, limits, target)) return error;
  }
  ignored = UnknownMembers(body, Specs(fields));
  return std::nullopt;
}

// "'temperature' is a string, expected a number"
ApiError WrongType(std::string_view param, const json::Value& found, std::string_view expected);
ApiError WrongValue(std::string_view param, std::string_view message);

// The object of a request body, or 400 with the offset of what is wrong. Of members without a row
// the names alone are kept, and not more of them than are ever told.
std::variant<json::Object, ApiError> ParseBody(std::string_view body, const Limits& limits,
                                               std::span<const std::string_view> names);

template <class Target>
std::variant<json::Object, ApiError> ParseBody(std::string_view body, const Limits& limits,
                                               std::span<const FieldOf<Target>> fields) {
  std::vector<std::string_view> names;
  for (const FieldOf<Target>& field : fields) names.push_back(field.name);
  return ParseBody(body, limits, names);
}

// The integer that a number is (8.0 is 8).
std::optional<int64_t> AsInteger(const json::Value& value);

}  // namespace mach::server
