// Values as text: Python's str() and repr(), the % operator and str.format.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "jinja/runtime.h"
#include "jinja/value.h"

namespace mach::jinja {

// repr(value) appended to out. saw_plain becomes true where a marked string is in it.
Status AppendRepr(Runtime& runtime, const Value& value, std::string& out, bool& saw_plain);

// str(value): a string keeps its marks; the rest is marked as a whole if a marked string is in it.
Status AppendStr(Runtime& runtime, const Value& value, TextBuilder& out);
// The same as a value; a string itself is returned as it is, `safe` or not.
Result<Value> ToText(Runtime& runtime, const Value& value);

// format % argument
Result<Value> FormatPercent(Runtime& runtime, const Value& format, const Value& argument);

class Interpreter;
// format.format(*positional, **keywords). Fields may have attributes, indexes, conversions and
// format specifications.
Result<Value> FormatBraces(Interpreter& interpreter, const Value& format, const Arguments& args);

// format(value, spec)
Result<Value> FormatSpec(Runtime& runtime, const Value& value, std::string_view spec);

// A number as the conversions d, e, f, g, ... write it, without padding.
struct NumberStyle {
  char type = 0;       // 0: as str() does
  int precision = -1;  // -1: the default of the type
  char sign = '-';     // '+', ' ' or '-'
  bool alternate = false;
  char grouping = 0;  // ',' or '_'
};
Result<std::string> FormatNumber(const Value& value, const NumberStyle& style);

}  // namespace mach::jinja
