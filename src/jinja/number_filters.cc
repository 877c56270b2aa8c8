// Filters on numbers.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"

namespace mach::jinja {
namespace {

// Without blanks around and underscores between digits; nothing where those are misplaced.
std::optional<std::string> CleanNumber(Interpreter& in, const Text& text) {
  const Value stripped = Strip(in, text, nullptr, Side::kBoth);
  std::string out;
  const std::string& bytes = stripped.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '_') {
      out += bytes[i];
      continue;
    }
    const auto alnum = [&bytes](size_t at) {
      return at < bytes.size() && std::isalnum(static_cast<unsigned char>(bytes[at])) != 0;
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return std::nullopt;
  }
  return out;
}

// int(text, base)
std::optional<Value> ParseInt(Interpreter& in, const Text& text, int64_t base) {
  const std::optional<std::string> clean = CleanNumber(in, text);
  if (!clean || clean->empty()) return std::nullopt;
  std::string_view digits = *clean;
  const bool negative = digits[0] == '-';
  if (negative || digits[0] == '+') digits.remove_prefix(1);
  if (digits.size() > 1 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    const int64_t prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix != 0 && (base == prefix || base == 0)) {
      base = prefix;
      digits.remove_prefix(2);
    }
  }
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != std::string_view::npos) {
      return std::nullopt;
    }
    base = 10;
  }
  if (digits.empty() || digits[0] == '-') return std::nullopt;
  const std::string number = (negative ? "-" : "") + std::string(digits);
  int64_t value = 0;
  const auto [rest, error] =
      std::from_chars(number.data(), number.data() + number.size(), value, static_cast<int>(base));
  if (rest != number.data() + number.size()) return std::nullopt;
  if (error == std::errc()) return Value(value);
  if (error != std::errc::result_out_of_range || base != 10) return std::nullopt;
  const size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
  return in.MakeBigInt((negative ? "-" : "") + std::string(digits.substr(first)));
}

// float(text)
std::optional<double> ParseFloat(Interpreter& in, const Text& text) {
  const std::optional<std::string> clean = CleanNumber(in, text);
  if (!clean || clean->empty()) return std::nullopt;
  // strtod also takes hexadecimal and nan(...), which Python does not.
  if (clean->find_first_of("xX(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(clean->c_str(), &end);
  if (end != clean->c_str() + clean->size()) return std::nullopt;
  return value;
}

// int(d)
Result<Value> Truncated(Interpreter& in, double d) {
  if (std::isinf(d)) return RenderError("cannot convert float infinity to integer");
  d = std::trunc(d);
  if (std::fabs(d) < 9.2e18) return Value(static_cast<int64_t>(d));
  char digits[400];
  const int size = std::snprintf(digits, sizeof(digits), "%.0f", d);
  return in.MakeBigInt(std::string(digits, static_cast<size_t>(size)));
}

Result<Value> IntFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("int", args, {"default", "base"}));
  MACH_TRY(const int64_t base, bound.Int(1, 10));
  if (base != 0 && (base < 2 || base > 36)) return RenderError("int: base must be 0 or 2 to 36");
  const Value fallback = bound.Or(0, Value(int64_t{0}));
  if (subject.is_undefined()) return RenderError(subject.undefined().message);
  if (subject.is(Kind::kBool)) return Value(subject.AsInt());
  if (subject.is(Kind::kInt) || subject.is(Kind::kBigInt)) return subject;
  double d = 0;
  if (subject.is(Kind::kFloat)) {
    d = subject.AsDouble();
  } else if (subject.is_string()) {
    MACH_RETURN_IF_ERROR(in.Step(subject.bytes().size() / 16));
    if (std::optional<Value> value = ParseInt(in, subject.text(), base)) return *value;
    const std::optional<double> parsed = ParseFloat(in, subject.text());
    if (!parsed) return fallback;
    d = *parsed;
  } else {
    return fallback;
  }
  if (std::isnan(d)) return fallback;
  return Truncated(in, d);
}

Result<Value> FloatFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("float", args, {"default"}));
  if (subject.is_undefined()) return RenderError(subject.undefined().message);
  if (subject.is_number()) return Value(subject.AsDouble());
  if (subject.is_string()) {
    MACH_RETURN_IF_ERROR(in.Step(subject.bytes().size() / 16));
    if (const std::optional<double> d = ParseFloat(in, subject.text())) return Value(*d);
  }
  return bound.Or(0, Value(0.0));
}

Result<Value> Abs(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("abs", args, {}));
  if (subject.is_undefined()) return RenderError(subject.undefined().message);
  if (subject.is_integral()) {
    if (subject.AsInt() >= 0) return Value(subject.AsInt());
    return Negate(in, subject);
  }
  if (subject.is(Kind::kFloat)) return Value(std::fabs(subject.AsDouble()));
  if (subject.is(Kind::kBigInt)) return subject.AsDouble() < 0 ? Negate(in, subject) : subject;
  return RenderError("bad operand type for abs(): '" + std::string(TypeName(subject)) + "'");
}

// round(d, digits), correctly rounded from the decimal expansion.
double RoundTo(double d, int digits) {
  if (!std::isfinite(d)) return d;
  if (digits >= 0) {
    char text[800];
    std::snprintf(text, sizeof(text), "%.*f", digits, d);
    return std::strtod(text, nullptr);
  }
  const double scale = std::pow(10.0, -digits);
  return std::isinf(scale) ? std::copysign(0.0, d) : std::nearbyint(d / scale) * scale;
}

Result<Value> Round(Interpreter&, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("round", args, {"precision", "method"}));
  MACH_TRY(const int64_t precision, bound.Int(0, 0));
  MACH_TRY(const Text* name, bound.String(1));
  const std::string method = name == nullptr ? "common" : name->bytes;
  if (method != "common" && method != "ceil" && method != "floor") {
    return RenderError("round: method must be common, ceil or floor");
  }
  if (subject.is_undefined()) return RenderError(subject.undefined().message);
  if (subject.is(Kind::kBigInt) && method == "common" && precision >= 0) return subject;
  if (!subject.is_number() || subject.is(Kind::kBigInt)) {
    return RenderError("round expects a number, not " + std::string(TypeName(subject)));
  }
  const int digits = static_cast<int>(std::clamp<int64_t>(precision, -400, 400));
  if (method == "common") {
    if (subject.is(Kind::kFloat)) return Value(RoundTo(subject.AsDouble(), digits));
    if (digits >= 0) return Value(subject.AsInt());
    return Value(static_cast<int64_t>(RoundTo(subject.AsDouble(), digits)));
  }
  const double scale = std::pow(10.0, digits);
  const double scaled = subject.AsDouble() * scale;
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  if (!std::isfinite(whole)) return RenderError("round: the number is too large");
  return Value((whole == 0 ? 0.0 : whole) / scale);
}

Result<Value> FileSizeFormat(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("filesizeformat", args, {"binary"}));
  if (!subject.is_number()) {
    return RenderError("filesizeformat expects a number, not " + std::string(TypeName(subject)));
  }
  const double bytes = subject.AsDouble();
  const bool binary = bound.Flag(0);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return in.MakeText("1 Byte");
  char text[400];
  if (bytes < base) {
    std::snprintf(text, sizeof(text), "%.0f Bytes", std::trunc(bytes));
    return in.MakeText(text);
  }
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  while (i + 1 < kPrefixes.size() && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  std::snprintf(text, sizeof(text), "%.1f %c%s", bytes / unit, prefix, binary ? "iB" : "B");
  return in.MakeText(text);
}

}  // namespace

std::span<const Filter> NumberFilters() {
  static constexpr Filter kFilters[] = {
      {"abs", Abs},           {"filesizeformat", FileSizeFormat},
      {"float", FloatFilter}, {"int", IntFilter},
      {"round", Round},
  };
  return kFilters;
}

}  // namespace mach::jinja
