// What is wrong with a field of a request, before any protocol puts it into its envelope.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace mach::dialog {

// A fault of the client.
struct FieldError {
  std::string code;     // "invalid_type", "invalid_value", "missing_required_parameter"
  std::string param;    // path of the field, as in "messages[2].content"
  std::string message;  // names the field, what was found and what was expected
};

using FieldStatus = Result<Success, FieldError>;

// "'messages[2].content' is of type number, expected a string"
FieldError WrongType(std::string_view param, const json::Value& found, std::string_view expected);
// message: follows the name of the field.
FieldError WrongValue(std::string_view param, std::string_view message);
// message: the whole sentence.
FieldError Missing(std::string_view param, std::string message);

}  // namespace mach::dialog
