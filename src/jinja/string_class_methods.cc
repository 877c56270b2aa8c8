// Methods of strings that say what their characters are, and str.format.
#include <string>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/methods.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

bool IsAlnum(uint32_t c) { return unicode::IsAlpha(c) || unicode::IsNumeric(c); }

// Whether there are characters, and all are of the class.
template <bool (*Class)(uint32_t)>
Result<Value> All(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("str method", args, {}));
  const std::string& text = self.bytes();
  MACH_RETURN_IF_ERROR(in.Step(text.size() / 16));
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    if (!Class(d.code_point)) return Value(false);
    at += d.length;
  }
  return Value(!text.empty());
}

// Whether there are cased characters, and all are of the case.
template <bool (*Case)(uint32_t)>
Result<Value> AllCased(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("str method", args, {}));
  const std::string& text = self.bytes();
  MACH_RETURN_IF_ERROR(in.Step(text.size() / 16));
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    at += d.length;
    if (!unicode::IsCased(d.code_point)) continue;
    if (!Case(d.code_point)) return Value(false);
    cased = true;
  }
  return Value(cased);
}

Result<Value> IsTitle(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("istitle", args, {}));
  const std::string& text = self.bytes();
  MACH_RETURN_IF_ERROR(in.Step(text.size() / 16));
  bool cased = false;
  bool after_cased = false;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    at += d.length;
    const bool starts = unicode::IsUpper(d.code_point) || unicode::IsTitle(d.code_point);
    const bool is_cased = starts || unicode::IsLower(d.code_point);
    if (is_cased && starts == after_cased) return Value(false);
    cased |= is_cased;
    after_cased = is_cased;
  }
  return Value(cased);
}

Result<Value> IsAscii(Interpreter&, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("isascii", args, {}));
  return Value(self.text().ascii);
}

bool IsPrintable(uint32_t c) { return unicode::IsPrintable(c); }

Result<Value> IsPrintableMethod(Interpreter& in, const Value& self, Arguments& args) {
  if (self.bytes().empty()) return Value(true);
  return All<IsPrintable>(in, self, args);
}

Result<Value> IsIdentifier(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("isidentifier", args, {}));
  const std::string& text = self.bytes();
  MACH_RETURN_IF_ERROR(in.Step(text.size() / 16));
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    const bool start = d.code_point == '_' || unicode::IsAlpha(d.code_point);
    if (!start && (at == 0 || !unicode::IsDecimal(d.code_point))) return Value(false);
    at += d.length;
  }
  return Value(!text.empty());
}

Result<Value> Format(Interpreter& in, const Value& self, Arguments& args) {
  return FormatBraces(in, self, args);
}

Result<Value> FormatMap(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("format_map", args, {"mapping"}, 1));
  if (!bound.Get(0)->is(Kind::kDict)) return RenderError("format_map() expects a mapping");
  Arguments named;
  for (const auto& [key, value] : bound.Get(0)->dict().items) {
    if (key.is_string()) named.keywords.emplace_back(key.bytes(), value);
  }
  return FormatBraces(in, self, named);
}

Result<Value> Unsupported(Interpreter&, const Value&, Arguments&) {
  return RenderError("the string methods encode, maketrans and translate are not supported");
}

}  // namespace

std::span<const Method> StringClassMethods() {
  static constexpr Method kMethods[] = {
      {"encode", Unsupported},
      {"format", Format},
      {"format_map", FormatMap},
      {"isalnum", All<IsAlnum>},
      {"isalpha", All<unicode::IsAlpha>},
      {"isascii", IsAscii},
      {"isdecimal", All<unicode::IsDecimal>},
      {"isdigit", All<unicode::IsDigit>},
      {"isidentifier", IsIdentifier},
      {"islower", AllCased<unicode::IsLower>},
      {"isnumeric", All<unicode::IsNumeric>},
      {"isprintable", IsPrintableMethod},
      {"isspace", All<unicode::IsSpace>},
      {"istitle", IsTitle},
      {"isupper", AllCased<unicode::IsUpper>},
      {"maketrans", Unsupported},
      {"translate", Unsupported},
  };
  return kMethods;
}

}  // namespace mach::jinja
