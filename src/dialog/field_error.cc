#include "dialog/field_error.h"

namespace mach::dialog {

FieldError WrongType(std::string_view param, const json::Value& found, std::string_view expected) {
  return {"invalid_type", std::string(param),
          "'" + std::string(param) + "' is of type " + std::string(found.KindName()) +
              ", expected " + std::string(expected)};
}

FieldError WrongValue(std::string_view param, std::string_view message) {
  return {"invalid_value", std::string(param),
          "'" + std::string(param) + "' " + std::string(message)};
}

FieldError Missing(std::string_view param, std::string message) {
  return {"missing_required_parameter", std::string(param), std::move(message)};
}

}  // namespace mach::dialog
