#include "jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "jinja/format.h"
#include "jinja/loop.h"

namespace mach::jinja {
namespace {

Error UndefinedError(const Value& a, const Value& b) {
  return RenderError((a.is_undefined() ? a : b).undefined().message);
}

// Exact: a long double holds 64 bits.
int CompareNumbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    return a.AsInt() < b.AsInt() ? -1 : a.AsInt() > b.AsInt();
  }
  if (a.is(Kind::kBigInt) && b.is(Kind::kBigInt)) {
    std::string_view x = static_cast<const BigInt&>(*a.object()).digits;
    std::string_view y = static_cast<const BigInt&>(*b.object()).digits;
    const bool negative = x.starts_with('-');
    if (negative != y.starts_with('-')) return negative ? -1 : 1;
    const int order = x.size() != y.size() ? (x.size() < y.size() ? -1 : 1) : x.compare(y);
    return negative ? -order : order;
  }
  const auto wide = [](const Value& v) {
    return v.is_integral() ? static_cast<long double>(v.AsInt())
                           : static_cast<long double>(v.AsDouble());
  };
  const long double x = wide(a);
  const long double y = wide(b);
  return x < y ? -1 : (x > y ? 1 : (x == y ? 0 : 2));  // 2: not comparable (NaN)
}

Result<bool> EqualItems(Runtime& runtime, const std::vector<Value>& a,
                        const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    MACH_TRY(const bool equal, Equal(runtime, a[i], b[i]));
    if (!equal) return false;
  }
  return true;
}

Result<bool> EqualDicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    MACH_RETURN_IF_ERROR(runtime.Step());
    const Value* other = b.Find(key);
    if (other == nullptr) return false;
    MACH_TRY(const bool equal, Equal(runtime, value, *other));
    if (!equal) return false;
  }
  return true;
}

std::string_view CompareName(CompareOp op) {
  switch (op) {
    case CompareOp::kLt:
      return "<";
    case CompareOp::kLe:
      return "<=";
    case CompareOp::kGt:
      return ">";
    default:
      return ">=";
  }
}

bool Holds(CompareOp op, int order) {
  if (order == 2) return false;
  switch (op) {
    case CompareOp::kLt:
      return order < 0;
    case CompareOp::kLe:
      return order <= 0;
    case CompareOp::kGt:
      return order > 0;
    default:
      return order >= 0;
  }
}

Result<bool> Order(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  MACH_RETURN_IF_ERROR(runtime.Step());
  if (a.is_number() && b.is_number()) return Holds(op, CompareNumbers(a, b));
  if (a.is_string() && b.is_string()) {
    const int order = a.bytes().compare(b.bytes());
    return Holds(op, order < 0 ? -1 : order > 0);
  }
  if (a.is_undefined() || b.is_undefined()) return UndefinedError(a, b);
  if (a.is_sequence() && a.kind() == b.kind()) {
    const std::vector<Value>& x = a.items();
    const std::vector<Value>& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      MACH_TRY(const bool equal, Equal(runtime, x[i], y[i]));
      if (!equal) return Order(runtime, op, x[i], y[i]);
    }
    return Holds(op, x.size() < y.size() ? -1 : x.size() > y.size());
  }
  return RenderError("'" + std::string(CompareName(op)) + "' not supported between instances of '" +
                     std::string(TypeName(a)) + "' and '" + std::string(TypeName(b)) + "'");
}

Error UnsupportedOperands(std::string_view op, const Value& a, const Value& b) {
  return RenderError("unsupported operand type(s) for " + std::string(op) + ": '" +
                     std::string(TypeName(a)) + "' and '" + std::string(TypeName(b)) + "'");
}

Error Overflow(std::string_view op) {
  return RenderError("the result of " + std::string(op) + " does not fit 64 bits");
}

Result<Value> Repeat(Runtime& runtime, const Value& value, int64_t count) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  const size_t unit = value.is_string() ? value.bytes().size() + value.text().plain.size() * 16
                                        : value.items().size() * sizeof(Value);
  if (times == 0 || unit == 0) {
    if (value.is_string()) return runtime.MakeText("", false, value.text().safe);
    return runtime.MakeSequence(value.kind(), {});
  }
  const size_t limit = runtime.options().limits.max_memory_bytes;
  MACH_RETURN_IF_ERROR(runtime.Reserve(times > limit / unit ? limit + 1 : times * unit));
  MACH_RETURN_IF_ERROR(runtime.Step(times / 8 + times * unit / 64));
  if (value.is_string()) {
    TextBuilder builder;
    for (size_t i = 0; i < times; ++i) builder.Append(value.text());
    return runtime.MakeText(std::move(builder), value.text().safe);
  }
  std::vector<Value> items;
  items.reserve(times * value.items().size());
  for (size_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return runtime.MakeSequence(value.kind(), std::move(items));
}

Result<Value> AddTexts(Runtime& runtime, const Value& a, const Value& b) {
  const bool safe = a.text().safe || b.text().safe;
  const auto part = [&](const Value& value) {
    return safe && !value.text().safe ? Escape(runtime, value.text()) : value;
  };
  MACH_RETURN_IF_ERROR(runtime.Step((a.bytes().size() + b.bytes().size()) / 64));
  TextBuilder builder;
  builder.Append(part(a).text());
  builder.Append(part(b).text());
  return runtime.MakeText(std::move(builder), safe);
}

Result<Value> AddSequences(Runtime& runtime, const Value& a, const Value& b) {
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  MACH_RETURN_IF_ERROR(runtime.Step(items.size() / 16));
  return runtime.MakeSequence(a.kind(), std::move(items));
}

Result<Value> IntegerPower(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return RenderError("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  bool base_overflows = false;
  while (exponent > 0) {
    if ((exponent & 1) != 0) {
      if (base_overflows || __builtin_mul_overflow(result, base, &result)) return Overflow("**");
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) base_overflows = true;
  }
  return Value(result);
}

Result<Value> IntegerArithmetic(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return Overflow("+");
      return Value(result);
    case BinaryOp::kSub:
      if (__builtin_sub_overflow(a, b, &result)) return Overflow("-");
      return Value(result);
    case BinaryOp::kMul:
      if (__builtin_mul_overflow(a, b, &result)) return Overflow("*");
      return Value(result);
    case BinaryOp::kDiv:
      if (b == 0) return RenderError("division by zero");
      return Value(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod: {
      const bool mod = op == BinaryOp::kMod;
      if (b == 0) {
        return RenderError(mod ? "integer modulo by zero" : "integer division or modulo by zero");
      }
      if (b == -1) {
        if (mod) return Value(int64_t{0});
        if (__builtin_sub_overflow(int64_t{0}, a, &result)) return Overflow("//");
        return Value(result);
      }
      int64_t quotient = a / b;
      int64_t remainder = a % b;
      if (remainder != 0 && (remainder < 0) != (b < 0)) {
        remainder += b;
        --quotient;
      }
      return Value(mod ? remainder : quotient);
    }
    case BinaryOp::kPow:
      return IntegerPower(a, b);
  }
  return Overflow("arithmetic");
}

Result<Value> FloatArithmetic(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value(a + b);
    case BinaryOp::kSub:
      return Value(a - b);
    case BinaryOp::kMul:
      return Value(a * b);
    case BinaryOp::kDiv:
      if (b == 0) return RenderError("float division by zero");
      return Value(a / b);
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod: {
      if (b == 0) return RenderError("float floor division or modulo by zero");
      double remainder = std::fmod(a, b);
      double quotient = (a - remainder) / b;
      if (remainder != 0) {
        if ((b < 0) != (remainder < 0)) {
          remainder += b;
          quotient -= 1;
        }
      } else {
        remainder = std::copysign(0.0, b);
      }
      if (op == BinaryOp::kMod) return Value(remainder);
      if (quotient == 0) return Value(std::copysign(0.0, a / b));
      double floored = std::floor(quotient);
      if (quotient - floored > 0.5) floored += 1;
      return Value(floored);
    }
    case BinaryOp::kPow: {
      if (a == 0 && b < 0) return RenderError("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(b) && b != std::floor(b)) {
        return RenderError("a negative number to a fractional power is not supported");
      }
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
        return RenderError("the result of ** is too large");
      }
      return Value(result);
    }
  }
  return Overflow("arithmetic");
}

constexpr std::string_view kBinaryNames[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

}  // namespace

bool Truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.AsInt() != 0;
    case Kind::kFloat:
      return value.AsDouble() != 0;
    case Kind::kString:
      return !value.bytes().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
      return LengthOf(value).value_or(0) != 0;
    default:
      return true;
  }
}

Result<bool> Equal(Runtime& runtime, const Value& a, const Value& b) {
  MACH_RETURN_IF_ERROR(runtime.Step());
  if (a.is_number() && b.is_number()) return CompareNumbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.bytes() == b.bytes();
    case Kind::kList:
    case Kind::kTuple:
      if (a.object() == b.object()) return true;
      return EqualItems(runtime, a.items(), b.items());
    case Kind::kDict:
      if (a.object() == b.object()) return true;
      return EqualDicts(runtime, a.dict(), b.dict());
    case Kind::kRange: {
      const Range& x = a.range();
      const Range& y = b.range();
      return x.length == y.length && (x.length == 0 || x.start == y.start) &&
             (x.length < 2 || x.step == y.step);
    }
    case Kind::kFunction:
      return a.function().call == b.function().call && a.function().name == b.function().name &&
             a.function().self.object() == b.function().self.object();
    default:
      return a.object() == b.object();
  }
}

Result<bool> Less(Runtime& runtime, const Value& a, const Value& b) {
  return Order(runtime, CompareOp::kLt, a, b);
}

Result<bool> Compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq:
      return Equal(runtime, a, b);
    case CompareOp::kNe: {
      MACH_TRY(const bool equal, Equal(runtime, a, b));
      return !equal;
    }
    case CompareOp::kIn:
      return Contains(runtime, b, a);
    case CompareOp::kNotIn: {
      MACH_TRY(const bool in, Contains(runtime, b, a));
      return !in;
    }
    default:
      return Order(runtime, op, a, b);
  }
}

Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      return RenderError("'in <string>' requires string as left operand, not " +
                         std::string(TypeName(item)));
    }
    MACH_RETURN_IF_ERROR(runtime.Step(container.bytes().size() / 64));
    return container.bytes().find(item.bytes()) != std::string::npos;
  }
  if (container.is(Kind::kDict) ||
      (container.is(Kind::kDictView) && container.view().what == DictView::What::kKeys)) {
    if (item.is_sequence() || item.is(Kind::kDict) || item.is(Kind::kDictView)) {
      if (!HashKey(item)) {
        return RenderError("unhashable type: '" + std::string(TypeName(item)) + "'");
      }
    }
    const Dict& dict = container.is(Kind::kDict) ? container.dict() : container.view().dict.dict();
    return dict.Find(item) != nullptr;
  }
  if (!IsIterable(container)) {
    return RenderError("argument of type '" + std::string(TypeName(container)) +
                       "' is not iterable");
  }
  MACH_TRY(Iterator it, Iterator::Make(container));
  Value candidate;
  while (true) {
    MACH_TRY(const bool more, it.Next(runtime, candidate));
    if (!more) return false;
    MACH_TRY(const bool equal, Equal(runtime, candidate, item));
    if (equal) return true;
  }
}

Result<Value> Binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (a.is_string() && op == BinaryOp::kMod) return FormatPercent(runtime, a, b);
  if (a.is_undefined() || b.is_undefined()) return UndefinedError(a, b);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return IntegerArithmetic(op, a.AsInt(), b.AsInt());
    if (!a.is(Kind::kFloat) && !b.is(Kind::kFloat)) {
      return RenderError("arithmetic on integers beyond 64 bits is not supported");
    }
    return FloatArithmetic(op, a.AsDouble(), b.AsDouble());
  }
  if (op == BinaryOp::kAdd) {
    if (a.is_string() && b.is_string()) return AddTexts(runtime, a, b);
    if (a.is_sequence() && a.kind() == b.kind()) return AddSequences(runtime, a, b);
    if (a.is_string() || a.is_sequence()) {
      return RenderError("can only concatenate " + std::string(TypeName(a)) + " (not \"" +
                         std::string(TypeName(b)) + "\") to " + std::string(TypeName(a)));
    }
  }
  if (op == BinaryOp::kMul) {
    if ((a.is_string() || a.is_sequence()) && b.is_integral()) {
      return Repeat(runtime, a, b.AsInt());
    }
    if ((b.is_string() || b.is_sequence()) && a.is_integral()) {
      return Repeat(runtime, b, a.AsInt());
    }
  }
  return UnsupportedOperands(kBinaryNames[static_cast<size_t>(op)], a, b);
}

Result<Value> Negate(Runtime& runtime, const Value& a) {
  if (a.is_undefined()) return RenderError(a.undefined().message);
  if (a.is(Kind::kBigInt)) {
    std::string digits = static_cast<const BigInt&>(*a.object()).digits;
    if (digits == "9223372036854775808") return Value(int64_t{INT64_MIN});
    digits.starts_with('-') ? digits.erase(0, 1) : digits.insert(0, 1, '-');
    return runtime.MakeBigInt(std::move(digits));
  }
  if (a.is_integral()) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, a.AsInt(), &result)) return Overflow("-");
    return Value(result);
  }
  if (a.is(Kind::kFloat)) return Value(-a.AsDouble());
  return RenderError("bad operand type for unary -: '" + std::string(TypeName(a)) + "'");
}

std::optional<size_t> NormalizeIndex(int64_t index, size_t length) {
  const auto n = static_cast<int64_t>(length);
  if (index < 0) index += n;
  if (index < 0 || index >= n) return std::nullopt;
  return static_cast<size_t>(index);
}

Result<Value> Slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                    const Value& step) {
  if (object.is_undefined()) return RenderError(object.undefined().message);
  if (!object.is_string() && !object.is_sequence() && !object.is(Kind::kRange)) {
    return RenderError("'" + std::string(TypeName(object)) + "' object can not be sliced");
  }
  for (const Value* part : {&start, &stop, &step}) {
    if (!part->is_none() && !part->is_integral()) {
      return RenderError("slice indices must be integers or None, not " +
                         std::string(TypeName(*part)));
    }
  }
  const auto length = static_cast<int64_t>(LengthOf(object).value_or(0));
  const int64_t by = step.is_none() ? 1 : step.AsInt();
  if (by == 0) return RenderError("slice step cannot be zero");
  const auto clamp = [length, by](const Value& part, int64_t absent) {
    if (part.is_none()) return absent;
    int64_t at = part.AsInt();
    if (at < 0) at = at < -length ? -1 : at + length;
    return by > 0 ? std::clamp<int64_t>(at, 0, length) : std::clamp<int64_t>(at, -1, length - 1);
  };
  const int64_t from = clamp(start, by > 0 ? 0 : length - 1);
  const int64_t to = clamp(stop, by > 0 ? length : -1);
  int64_t count = 0;
  if (by > 0 && from < to) count = (to - from - 1) / by + 1;
  if (by < 0 && from > to) count = (from - to - 1) / (by == INT64_MIN ? INT64_MAX : -by) + 1;
  MACH_RETURN_IF_ERROR(runtime.Step(static_cast<size_t>(length) / 64 + static_cast<size_t>(count)));
  if (object.is(Kind::kRange)) {
    const Range& range = object.range();
    int64_t new_step = 0;
    if (__builtin_mul_overflow(range.step, by, &new_step)) return Overflow("a slice of a range");
    const auto at = [&range](int64_t index) {
      const __int128 number = range.start + static_cast<__int128>(index) * range.step;
      return static_cast<int64_t>(std::clamp<__int128>(number, INT64_MIN, INT64_MAX));
    };
    return runtime.MakeRange(at(from), at(to), new_step, count);
  }
  if (object.is_sequence()) {
    std::vector<Value> items;
    for (int64_t i = 0; i < count; ++i) {
      items.push_back(object.items()[static_cast<size_t>(from + i * by)]);
    }
    return runtime.MakeSequence(object.kind(), std::move(items));
  }
  const Text& text = object.text();
  if (by == 1) {
    const size_t begin = text.Offset(static_cast<size_t>(from));
    const size_t end = count == 0 ? begin : text.Offset(static_cast<size_t>(to));
    return runtime.Part(text, begin, end, text.safe);
  }
  std::vector<size_t> offsets;  // of each code point, and the end
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    if ((static_cast<unsigned char>(text.bytes[at]) & 0xC0) != 0x80) offsets.push_back(at);
  }
  offsets.push_back(text.bytes.size());
  TextBuilder builder;
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(from + i * by);
    builder.Append(text, offsets[at], offsets[at + 1]);
  }
  return runtime.MakeText(std::move(builder), text.safe);
}

Value Escape(Runtime& runtime, const Text& text) {
  TextBuilder builder;
  size_t span = 0;  // the first that may hold byte i
  for (size_t i = 0; i < text.bytes.size(); ++i) {
    std::string_view entity;
    switch (text.bytes[i]) {
      case '&':
        entity = "&amp;";
        break;
      case '<':
        entity = "&lt;";
        break;
      case '>':
        entity = "&gt;";
        break;
      case '\'':
        entity = "&#39;";
        break;
      case '"':
        entity = "&#34;";
        break;
      default:
        builder.Append(text, i, i + 1);
        continue;
    }
    while (span < text.plain.size() && text.plain[span].end <= i) ++span;
    if (span < text.plain.size() && text.plain[span].begin <= i) {
      builder.AppendPlain(entity);
    } else {
      builder.Append(entity);
    }
  }
  return runtime.MakeText(std::move(builder), true);
}

}  // namespace mach::jinja
