// The % operator on strings and str.format: text with fields.
#include <algorithm>
#include <cmath>
#include <string>

#include "base/utf8.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"

namespace mach::jinja {
namespace {

// repr with everything beyond ASCII escaped.
std::string Ascii(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    if (d.code_point < 0x80) {
      out += text[at];
    } else {
      char escape[16];
      const char* const format = d.code_point < 0x100     ? "\\x%02x"
                                 : d.code_point < 0x10000 ? "\\u%04x"
                                                          : "\\U%08x";
      std::snprintf(escape, sizeof(escape), format, d.code_point);
      out += escape;
    }
    at += d.length;
  }
  return out;
}

Result<Value> Converted(Runtime& runtime, const Value& value, char conversion) {
  if (conversion == 's') return ToText(runtime, value);
  std::string text;
  bool saw_plain = false;
  MACH_RETURN_IF_ERROR(AppendRepr(runtime, value, text, saw_plain));
  return runtime.MakeText(conversion == 'a' ? Ascii(text) : std::move(text), saw_plain);
}

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& argument)
      : runtime_(runtime), text_(format.text()), in_(text_.bytes), argument_(argument) {}

  Result<Value> Run() {
    size_t from = 0;
    while (true) {
      at_ = in_.find('%', from);
      if (at_ == std::string_view::npos) break;
      out_.Append(text_, from, at_);
      ++at_;
      MACH_RETURN_IF_ERROR(Field());
      from = at_;
    }
    out_.Append(text_, from, in_.size());
    // Anything that can be indexed passes for a mapping, whose items need not all be used.
    const bool mapping = argument_.is(Kind::kList) || argument_.is(Kind::kDict) ||
                         argument_.is(Kind::kRange) || argument_.is_undefined();
    const size_t count = argument_.is(Kind::kTuple) ? argument_.items().size() : 1;
    if (!mapping && next_ < count) {
      return RenderError("not all arguments converted during string formatting");
    }
    return runtime_.MakeText(std::move(out_), text_.safe);
  }

 private:
  Result<Value> NextArgument() {
    if (argument_.is(Kind::kTuple)) {
      if (next_ >= argument_.items().size()) {
        return RenderError("not enough arguments for format string");
      }
      return argument_.items()[next_++];
    }
    if (next_++ != 0) return RenderError("not enough arguments for format string");
    return argument_;
  }

  Result<int64_t> Number() {
    if (at_ < in_.size() && in_[at_] == '*') {
      ++at_;
      MACH_TRY(const Value value, NextArgument());
      if (!value.is_integral()) return RenderError("* wants int");
      return value.AsInt();
    }
    int64_t number = 0;
    for (; at_ < in_.size() && in_[at_] >= '0' && in_[at_] <= '9'; ++at_) {
      number = number * 10 + (in_[at_] - '0');
      if (number > INT32_MAX) return RenderError("width or precision too big");
    }
    return number;
  }

  Status Field() {
    MACH_RETURN_IF_ERROR(runtime_.Step());
    std::optional<Value> keyed;
    if (at_ < in_.size() && in_[at_] == '(') {
      const size_t close = in_.find(')', at_);
      if (close == std::string_view::npos) return RenderError("incomplete format key");
      if (!argument_.is(Kind::kDict)) return RenderError("format requires a mapping");
      const Value* found = argument_.dict().Find(in_.substr(at_ + 1, close - at_ - 1));
      if (found == nullptr) {
        return RenderError("no such key in the mapping: '" +
                           std::string(in_.substr(at_ + 1, close - at_ - 1)) + "'");
      }
      keyed = *found;
      next_ = 1;
      at_ = close + 1;
    }
    NumberStyle style;
    bool left = false;
    bool zero = false;
    for (; at_ < in_.size() && std::string_view("-+ #0").find(in_[at_]) != std::string::npos;
         ++at_) {
      left |= in_[at_] == '-';
      zero |= in_[at_] == '0';
      style.alternate |= in_[at_] == '#';
      if (in_[at_] == '+' || (in_[at_] == ' ' && style.sign == '-')) style.sign = in_[at_];
    }
    MACH_TRY(int64_t width, Number());
    if (width < 0) {
      left = true;
      width = width == INT64_MIN ? INT64_MAX : -width;
    }
    if (at_ < in_.size() && in_[at_] == '.') {
      ++at_;
      MACH_TRY(const int64_t precision, Number());
      style.precision = static_cast<int>(std::clamp<int64_t>(precision, 0, INT32_MAX));
    }
    if (at_ < in_.size() && std::string_view("hlL").find(in_[at_]) != std::string::npos) ++at_;
    if (at_ >= in_.size()) return RenderError("incomplete format");
    style.type = in_[at_++];
    if (style.type == '%') {
      out_.Append("%");
      return Ok();
    }
    Value value;
    if (keyed) {
      value = *keyed;
    } else {
      MACH_TRY(value, NextArgument());
    }
    if (std::string_view("sra").find(style.type) != std::string_view::npos) {
      MACH_TRY(value, Converted(runtime_, value, style.type));
      const Text& text = value.text();
      const size_t end = style.precision < 0 ? text.bytes.size()
                                             : text.Offset(static_cast<size_t>(style.precision));
      value = runtime_.Part(text, 0, end, text.safe);
      if (text_.safe && !text.safe) value = Escape(runtime_, value.text());
    } else if (style.type == 'c') {
      MACH_TRY(value, Character(value));
    } else {
      MACH_TRY(value, NumberField(value, style, zero && !left ? width : 0));
    }
    MACH_TRY(const Value padded,
             Pad(runtime_, value.text(), width, " ", left ? Side::kRight : Side::kLeft));
    MACH_RETURN_IF_ERROR(runtime_.Reserve(out_.size() + padded.bytes().size()));
    out_.Append(padded.text());
    return Ok();
  }

  Result<Value> Character(const Value& value) {
    if (value.is_string() && value.text().Length() == 1) return value;
    if (!value.is_integral() || value.AsInt() < 0 || value.AsInt() > 0x10FFFF) {
      return RenderError("%c requires int or char");
    }
    std::string character;
    utf8::Append(character, static_cast<uint32_t>(value.AsInt()));
    return runtime_.MakeText(std::move(character));
  }

  Result<Value> NumberField(const Value& given, NumberStyle style, int64_t zero_width) {
    static constexpr std::string_view kInteger = "diuoxX";
    static constexpr std::string_view kFloat = "eEfFgG";
    const bool integer = kInteger.find(style.type) != std::string_view::npos;
    if (!integer && kFloat.find(style.type) == std::string_view::npos) {
      return RenderError("unsupported format character '" + std::string(1, style.type) + "'");
    }
    Value value = given;
    const bool decimal = integer && style.type != 'o' && style.type != 'x' && style.type != 'X';
    if (!value.is_number() || (integer && !decimal && !value.is_integral())) {
      return RenderError("%" + std::string(1, style.type) + " format: a " +
                         (decimal || !integer ? "real number" : "integer") + " is required, not " +
                         std::string(TypeName(value)));
    }
    if (decimal && value.is(Kind::kFloat)) {
      const double d = std::trunc(value.AsDouble());
      if (!(std::fabs(d) < 9.2e18)) return RenderError("cannot convert float to a 64-bit integer");
      value = Value(static_cast<int64_t>(d));
    }
    if (decimal) style.type = 'd';
    MACH_TRY(std::string number, FormatNumber(value, style));
    size_t head = number.find_first_not_of("+- ");
    if (head == std::string::npos) head = 0;
    if (style.alternate && integer && !decimal) head += 2;
    const Value tail = runtime_.MakeText(number.substr(head));
    MACH_TRY(const Value padded,
             Pad(runtime_, tail.text(), zero_width - static_cast<int64_t>(head), "0", Side::kLeft));
    return runtime_.MakeText(number.substr(0, head) + padded.bytes());
  }

  Runtime& runtime_;
  const Text& text_;
  const std::string_view in_;
  const Value& argument_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t next_ = 0;  // positional arguments taken
};

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& args)
      : interpreter_(interpreter), args_(args) {}

  // The fields of text [begin, end) filled in.
  Status Fill(const Text& text, size_t begin, size_t end, int level, TextBuilder& out) {
    if (level > 2) return RenderError("max string recursion exceeded in format");
    const std::string_view in = text.bytes;
    size_t from = begin;
    for (size_t at = begin; at < end;) {
      const char c = in[at];
      if (c != '{' && c != '}') {
        ++at;
        continue;
      }
      out.Append(text, from, at);
      if (at + 1 < end && in[at + 1] == c) {
        out.Append(text, at, at + 1);
        at += 2;
      } else if (c == '}') {
        return RenderError("single '}' encountered in format string");
      } else {
        MACH_TRY(const size_t close, FieldEnd(in, at + 1, end));
        MACH_RETURN_IF_ERROR(Field(text, at + 1, close, level, out));
        at = close + 1;
      }
      from = at;
    }
    out.Append(text, from, end);
    return Ok();
  }

 private:
  static Result<size_t> FieldEnd(std::string_view in, size_t at, size_t end) {
    int depth = 1;
    for (; at < end; ++at) {
      if (in[at] == '{') ++depth;
      if (in[at] == '}' && --depth == 0) return at;
    }
    return RenderError("expected '}' before end of string");
  }

  Status Field(const Text& text, size_t begin, size_t end, int level, TextBuilder& out) {
    MACH_RETURN_IF_ERROR(interpreter_.Step());
    const std::string_view in = std::string_view(text.bytes).substr(0, end);
    size_t name_end = begin;
    for (bool bracket = false; name_end < end; ++name_end) {
      const char c = in[name_end];
      bracket = c == '[' || (bracket && c != ']');
      if (!bracket && (c == '!' || c == ':')) break;
    }
    MACH_TRY(Value value, Find(in.substr(begin, name_end - begin)));
    size_t at = name_end;
    if (at < end && in[at] == '!') {
      const char conversion = at + 1 < end ? in[at + 1] : ' ';
      if (std::string_view("sra").find(conversion) == std::string_view::npos) {
        return RenderError("unknown conversion specifier in format string");
      }
      MACH_TRY(value, Converted(interpreter_, value, conversion));
      at += 2;
    }
    TextBuilder spec;
    if (at < end) {
      if (in[at] != ':') return RenderError("expected ':' after conversion specifier");
      MACH_RETURN_IF_ERROR(Fill(text, at + 1, end, level + 1, spec));
    }
    MACH_TRY(Value formatted, FormatSpec(interpreter_, value, spec.bytes()));
    if (text.safe && !formatted.text().safe) formatted = Escape(interpreter_, formatted.text());
    MACH_RETURN_IF_ERROR(interpreter_.Reserve(out.size() + formatted.bytes().size()));
    out.Append(formatted.text());
    return Ok();
  }

  Result<Value> Find(std::string_view name) {
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, first_end);
    Value value;
    if (first.find_first_not_of("0123456789") == std::string_view::npos) {
      size_t index = 0;
      if (first.empty()) {
        index = automatic_++;
      } else {
        for (const char c : first.substr(0, 9)) index = index * 10 + static_cast<size_t>(c - '0');
      }
      if (first.size() > 9 || index >= args_.positional.size()) {
        return RenderError("replacement index out of range for positional arguments");
      }
      value = args_.positional[index];
    } else {
      const auto it = std::find_if(args_.keywords.begin(), args_.keywords.end(),
                                   [first](const auto& keyword) { return keyword.first == first; });
      if (it == args_.keywords.end()) {
        return RenderError("no argument named '" + std::string(first) + "' for format");
      }
      value = it->second;
    }
    for (size_t at = first_end; at < name.size();) {
      MACH_RETURN_IF_ERROR(interpreter_.Step());
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        MACH_TRY(value, interpreter_.Attribute(value, name.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const size_t close = name.find(']', at);
      if (name[at] != '[' || close == std::string_view::npos) {
        return RenderError("missing ']' in format string");
      }
      const std::string_view key = name.substr(at + 1, close - at - 1);
      const bool number = !key.empty() && key.size() < 10 &&
                          key.find_first_not_of("0123456789") == std::string_view::npos;
      int64_t index = 0;
      for (const char c : number ? key : "") index = index * 10 + (c - '0');
      MACH_TRY(value, interpreter_.Item(
                          value, number ? Value(index) : interpreter_.MakeText(std::string(key))));
      at = close + 1;
    }
    return value;
  }

  Interpreter& interpreter_;
  const Arguments& args_;
  size_t automatic_ = 0;
};

}  // namespace

Result<Value> FormatPercent(Runtime& runtime, const Value& format, const Value& argument) {
  MACH_RETURN_IF_ERROR(runtime.Step(format.bytes().size() / 64));
  return PercentFormatter(runtime, format, argument).Run();
}

Result<Value> FormatBraces(Interpreter& interpreter, const Value& format, const Arguments& args) {
  MACH_RETURN_IF_ERROR(interpreter.Step(format.bytes().size() / 16));
  TextBuilder out;
  const Text& text = format.text();
  MACH_RETURN_IF_ERROR(BraceFormatter(interpreter, args).Fill(text, 0, text.bytes.size(), 0, out));
  return interpreter.MakeText(std::move(out), text.safe);
}

}  // namespace mach::jinja
