#include "server/protocol/fields.h"

#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "dialog/field_error.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::server {
namespace {

std::string_view TypeName(FieldType type) {
  switch (type) {
    case FieldType::kBoolean:
      return "a boolean";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kString:
      return "a string";
    case FieldType::kArray:
      return "an array";
    case FieldType::kObject:
      return "an object";
    case FieldType::kAny:
      break;
  }
  return "another type";
}

bool HasType(const json::Value& value, FieldType type) {
  switch (type) {
    case FieldType::kBoolean:
      return value.is_bool();
    case FieldType::kInteger:
    case FieldType::kNumber:
      return value.is_number();
    case FieldType::kString:
      return value.is_string();
    case FieldType::kArray:
      return value.is_array();
    case FieldType::kObject:
      return value.is_object();
    case FieldType::kAny:
      break;
  }
  return true;
}

// What asks for nothing.
bool IsNeutral(const json::Value& value) {
  if (value.is_bool()) return !value.AsBool();
  if (value.is_number()) return value.AsDouble() == 0;
  if (value.is_string()) return value.AsString().empty();
  if (value.is_array()) return value.AsArray().empty();
  return value.is_object() && value.AsObject().empty();
}

std::string RangeText(const FieldSpec& field) {
  const bool low = std::isfinite(field.minimum);
  const bool high = std::isfinite(field.maximum);
  if (low && high) {
    return json::FormatDouble(field.minimum) + " to " + json::FormatDouble(field.maximum);
  }
  return low ? "at least " + json::FormatDouble(field.minimum)
             : "at most " + json::FormatDouble(field.maximum);
}

void CheckNumber(const FieldSpec& field, FieldValue& out) {
  const std::string name(field.name);
  if (field.type == FieldType::kInteger) {
    const auto integer = AsInteger(*out.value);
    if (!integer) {
      out.error = WrongType(name, *out.value, TypeName(field.type));
      return;
    }
    out.integer = json::Value(*integer);
    out.value = &out.integer;
  }
  const double d = out.value->AsDouble();
  if (!(d >= field.minimum && d <= field.maximum)) {
    out.error =
        WrongValue(name, "is " + json::Write(*out.value) + ", expected " + RangeText(field));
  }
}

}  // namespace

void CheckField(const json::Object& body, const FieldSpec& field, FieldValue& out) {
  const std::string name(field.name);
  out.value = body.Find(field.name);
  if (out.value != nullptr && out.value->is_null()) out.value = nullptr;
  if (out.value == nullptr) {
    if (field.required) {
      out.error = BadRequest("missing_required_parameter", name,
                             "'" + name + "' is missing, expected " + std::string(field.help));
    }
    return;
  }
  if (field.handling == Handling::kAccepted) {
    out.value = nullptr;
  } else if (field.handling == Handling::kRefused) {
    if (!IsNeutral(*out.value)) {
      out.error = BadRequest("unsupported_parameter", name,
                             "'" + name + "' is not supported; " + std::string(field.help));
    }
    out.value = nullptr;
  } else if (!HasType(*out.value, field.type)) {
    out.error = WrongType(name, *out.value, TypeName(field.type));
  } else if (out.value->is_number() &&
             (field.type == FieldType::kInteger || field.type == FieldType::kNumber)) {
    CheckNumber(field, out);
  }
}

std::vector<std::string> UnknownMembers(const json::Object& body,
                                        const std::vector<FieldSpec>& fields) {
  constexpr size_t kMaxNamed = 32;
  constexpr size_t kMaxNameBytes = 64;
  std::vector<std::string> names;
  for (const json::Member& member : body) {
    const bool known = std::any_of(fields.begin(), fields.end(), [&](const FieldSpec& field) {
      return field.name == member.key;
    });
    if (known || names.size() >= kMaxNamed) continue;
    names.push_back(PrintableAscii(member.key).substr(0, kMaxNameBytes));
  }
  return names;
}

ApiError WrongType(std::string_view param, const json::Value& found, std::string_view expected) {
  return FromFieldError(dialog::WrongType(param, found, expected));
}

ApiError WrongValue(std::string_view param, std::string_view message) {
  return FromFieldError(dialog::WrongValue(param, message));
}

std::optional<int64_t> AsInteger(const json::Value& value) {
  if (value.is_int()) return value.AsInt();
  if (!value.is_double()) return std::nullopt;
  const double d = value.AsDouble();
  if (d != std::floor(d) || std::abs(d) >= 0x1p53) return std::nullopt;
  return static_cast<int64_t>(d);
}

std::variant<json::Object, ApiError> ParseBody(std::string_view body, const Limits& limits,
                                               std::span<const std::string_view> names) {
  if (body.empty()) {
    return BadRequest("invalid_json", "", "the request body is empty, expected a JSON object");
  }
  if (body.starts_with("\xEF\xBB\xBF")) {
    return BadRequest("invalid_json", "",
                      "the request body begins with a byte order mark at offset 0; leave it out");
  }
  auto value =
      json::Parse(body, {.max_depth = limits.json_depth, .unique_keys = true, .members = names});
  if (!value) {
    return BadRequest("invalid_json", "",
                      "the request body is not valid JSON: " + value.error().message);
  }
  if (!value->is_object()) {
    return BadRequest("invalid_type", "",
                      "the request body is of type " + std::string(value->KindName()) +
                          ", expected a JSON object");
  }
  return std::move(value->AsObject());
}

}  // namespace mach::server
