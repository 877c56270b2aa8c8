// Numbers in the styles of % and format(), and format specifications.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "base/utf8.h"
#include "jinja/format.h"
#include "jinja/text_operations.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

constexpr int kMaxPrecision = 10'000;

std::string Printf(const char* format, int precision, double d) {
  std::string out(static_cast<size_t>(std::max(precision, 0)) + 400, '\0');
  const int size = std::snprintf(out.data(), out.size(), format, precision, d);
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string FloatDigits(double d, const NumberStyle& style) {
  const int precision = style.precision < 0 ? 6 : style.precision;
  const char type = style.type == '%' ? 'f' : style.type;
  if (type == 0 || type == 'n') {
    if (style.precision < 0 && type == 0) return json::FormatDouble(d);
    std::string text = Printf("%.*g", std::max(precision, 1), d);
    if (type == 0 && text.find_first_of(".en") == std::string::npos) text += ".0";
    return text;
  }
  const std::string format = std::string("%") + (style.alternate ? "#" : "") + ".*" + type;
  return Printf(format.c_str(), precision, d);
}

std::string IntegerDigits(uint64_t magnitude, unsigned base, bool upper) {
  const char* const digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out += digits[magnitude % base];
    magnitude /= base;
  } while (magnitude != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

// Separators between groups of the leading digits.
void Group(std::string& digits, char separator, size_t size) {
  size_t end = 0;
  while (end < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[end])) != 0) {
    if (size == 3 && std::isdigit(static_cast<unsigned char>(digits[end])) == 0) break;
    ++end;
  }
  for (size_t at = end; at > size; at -= size) digits.insert(at - size, 1, separator);
}

struct Spec {
  std::string fill = " ";
  char align = 0;
  NumberStyle number;
  bool zero = false;
  int64_t width = 0;
};

Result<int64_t> ReadNumber(std::string_view spec, size_t& at) {
  int64_t value = 0;
  for (; at < spec.size() && spec[at] >= '0' && spec[at] <= '9'; ++at) {
    value = value * 10 + (spec[at] - '0');
    if (value > INT32_MAX) return RenderError("too many decimal digits in format string");
  }
  return value;
}

Result<Spec> ParseSpec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [text](size_t i) {
    return i < text.size() &&
           (text[i] == '<' || text[i] == '>' || text[i] == '^' || text[i] == '=');
  };
  const size_t first = text.empty() ? 0 : utf8::Decode(text, 0).length;
  if (is_align(first)) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (is_align(0)) {
    spec.align = text[0];
    at = 1;
  }
  const auto take = [&](std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
  };
  if (const char sign = take("+- ")) spec.number.sign = sign;
  spec.number.alternate = take("#") != 0;
  spec.zero = take("0") != 0;
  MACH_TRY(spec.width, ReadNumber(text, at));
  spec.number.grouping = take(",_");
  if (take(".") != 0) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') {
      return RenderError("format specifier missing precision");
    }
    MACH_TRY(const int64_t precision, ReadNumber(text, at));
    if (precision > kMaxPrecision) return RenderError("precision too large in format string");
    spec.number.precision = static_cast<int>(precision);
  }
  if (at < text.size()) spec.number.type = text[at++];
  if (at != text.size()) {
    return RenderError("invalid format specifier '" + std::string(text) + "'");
  }
  if (spec.zero && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  return spec;
}

Result<Value> Aligned(Runtime& runtime, const Value& text, const Spec& spec, char align) {
  const Side side = align == '<' ? Side::kRight : (align == '^' ? Side::kBoth : Side::kLeft);
  if (align != '^') return Pad(runtime, text.text(), spec.width, spec.fill, side);
  // format() centers to the left, unlike str.center.
  const int64_t missing = spec.width - static_cast<int64_t>(text.text().Length());
  if (missing <= 0) return text;
  MACH_TRY(const Value left,
           Pad(runtime, text.text(), spec.width - (missing - missing / 2), spec.fill, Side::kLeft));
  return Pad(runtime, left.text(), spec.width, spec.fill, Side::kRight);
}

}  // namespace

Result<std::string> FormatNumber(const Value& value, const NumberStyle& style) {
  if (style.precision > kMaxPrecision) return RenderError("precision too large in format string");
  static constexpr std::string_view kIntegerTypes = "diubBoxXc";
  const bool as_integer =
      value.is_integral() &&
      (style.type == 0 || style.type == 'n' || kIntegerTypes.find(style.type) != std::string::npos);
  std::string digits;
  std::string prefix;
  bool negative = false;
  size_t group = 3;
  if (value.is(Kind::kBigInt) && (style.type == 0 || style.type == 'd' || style.type == 'i')) {
    digits = static_cast<const BigInt&>(*value.object()).digits;
    negative = digits.starts_with('-');
    if (negative) digits.erase(0, 1);
  } else if (as_integer) {
    const int64_t number = value.AsInt();
    negative = number < 0;
    const uint64_t magnitude =
        negative ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
    const char lower = static_cast<char>(style.type | 0x20);
    const unsigned base = lower == 'x' ? 16 : style.type == 'o' ? 8 : style.type == 'b' ? 2 : 10;
    if (base != 10) group = 4;
    if (style.alternate && base != 10) prefix = std::string("0") + style.type;
    digits = IntegerDigits(magnitude, base, style.type == 'X');
    const auto wanted = static_cast<size_t>(std::max(style.precision, 0));
    if (digits.size() < wanted) digits.insert(0, wanted - digits.size(), '0');
  } else {
    static constexpr std::string_view kFloatTypes = "eEfFgGn%";
    if (style.type != 0 && kFloatTypes.find(style.type) == std::string::npos) {
      return RenderError("unknown format code '" + std::string(1, style.type) +
                         "' for object of type '" + std::string(TypeName(value)) + "'");
    }
    const double d = value.AsDouble() * (style.type == '%' ? 100 : 1);
    digits = FloatDigits(d, style);
    negative = digits.starts_with('-');
    if (negative) digits.erase(0, 1);
    if (std::isnan(d)) negative = false;
    if (style.type == '%') digits += '%';
  }
  if (style.grouping != 0) Group(digits, style.grouping, group);
  const std::string sign = negative ? "-" : style.sign == '-' ? "" : std::string(1, style.sign);
  return sign + prefix + digits;
}

Result<Value> FormatSpec(Runtime& runtime, const Value& value, std::string_view text) {
  if (text.empty()) return ToText(runtime, value);
  if (!value.is_string() && !value.is_number()) {
    return RenderError("unsupported format string passed to " + std::string(TypeName(value)) +
                       ".__format__");
  }
  MACH_TRY(const Spec spec, ParseSpec(text));
  if (value.is_string()) {
    if ((spec.number.type != 0 && spec.number.type != 's') || spec.align == '=' ||
        spec.number.sign != '-' || spec.number.alternate || spec.number.grouping != 0) {
      return RenderError("invalid format specifier '" + std::string(text) + "' for a string");
    }
    const Text& string = value.text();
    const size_t end = spec.number.precision < 0
                           ? string.bytes.size()
                           : string.Offset(static_cast<size_t>(spec.number.precision));
    const Value cut = runtime.Part(string, 0, end, string.safe);
    return Aligned(runtime, cut, spec, spec.align == 0 ? '<' : spec.align);
  }
  if (spec.number.type == 'c') {
    if (!value.is_integral() || value.AsInt() < 0 || value.AsInt() > 0x10FFFF) {
      return RenderError("%c arg not in range(0x110000)");
    }
    std::string character;
    utf8::Append(character, static_cast<uint32_t>(value.AsInt()));
    return Aligned(runtime, runtime.MakeText(std::move(character)), spec,
                   spec.align == 0 ? '<' : spec.align);
  }
  if (spec.number.precision >= 0 && value.is_integral() &&
      (spec.number.type == 0 ||
       std::string_view("dbBoxXn").find(spec.number.type) != std::string_view::npos)) {
    return RenderError("precision not allowed in integer format specifier");
  }
  MACH_TRY(std::string number, FormatNumber(value, spec.number));
  if (spec.align != '=') {
    return Aligned(runtime, runtime.MakeText(std::move(number)), spec,
                   spec.align == 0 ? '>' : spec.align);
  }
  size_t head = number.find_first_not_of("+- ");
  if (head == std::string::npos) head = 0;
  if (spec.number.alternate && number.size() > head + 1 &&
      std::string_view("xXob").find(number[head + 1]) != std::string_view::npos) {
    head += 2;
  }
  const Value tail = runtime.MakeText(number.substr(head));
  MACH_TRY(const Value padded, Pad(runtime, tail.text(), spec.width - static_cast<int64_t>(head),
                                   spec.fill, Side::kLeft));
  TextBuilder builder;
  builder.Append(number.substr(0, head));
  builder.Append(padded.text());
  return runtime.MakeText(std::move(builder));
}

}  // namespace mach::jinja
