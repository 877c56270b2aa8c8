#include "jinja/tests.h"

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

template <bool (*Function)(const Value&)>
Result<bool> Simple(Interpreter&, const Value& subject, const Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("test", args, {}));
  return Function(subject);
}

template <CompareOp Op>
Result<bool> Comparison(Interpreter& in, const Value& subject, const Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("test", args, {"other"}, 1));
  return Compare(in, Op, subject, *bound.Get(0));
}

Result<bool> HasRemainder(Interpreter& in, const Value& subject, const Value& divisor,
                          int64_t wanted) {
  MACH_TRY(const Value remainder, Binary(in, BinaryOp::kMod, subject, divisor));
  return Equal(in, remainder, Value(wanted));
}

template <int64_t Wanted>
Result<bool> Parity(Interpreter& in, const Value& subject, const Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("test", args, {}));
  return HasRemainder(in, subject, Value(int64_t{2}), Wanted);
}

Result<bool> DivisibleBy(Interpreter& in, const Value& subject, const Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("divisibleby", args, {"num"}, 1));
  return HasRemainder(in, subject, *bound.Get(0), 0);
}

Result<bool> SameAs(Interpreter& in, const Value& subject, const Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("sameas", args, {"other"}, 1));
  const Value& other = *bound.Get(0);
  if (subject.kind() != other.kind()) return false;
  if (subject.object() != nullptr) return subject.object() == other.object();
  return Equal(in, subject, other);
}

template <bool Upper>
Result<bool> Case(Interpreter& in, const Value& subject, const Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("test", args, {}));
  MACH_TRY(const Value text, ToText(in, subject));
  bool cased = false;
  const std::string& bytes = text.bytes();
  MACH_RETURN_IF_ERROR(in.Step(bytes.size() / 16));
  for (size_t at = 0; at < bytes.size();) {
    const utf8::Decoded d = utf8::Decode(bytes, at);
    at += d.length;
    if (!unicode::IsCased(d.code_point)) continue;
    if (Upper ? !unicode::IsUpper(d.code_point) : !unicode::IsLower(d.code_point)) return false;
    cased = true;
  }
  return cased;
}

Result<bool> IsFilterName(Interpreter&, const Value& subject, const Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("filter", args, {}));
  return subject.is_string() && FindFilter(subject.bytes()) != nullptr;
}

Result<bool> IsTestName(Interpreter&, const Value& subject, const Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("test", args, {}));
  return subject.is_string() && FindTest(subject.bytes()) != nullptr;
}

bool IsDefined(const Value& v) { return !v.is_undefined(); }
bool IsUndefined(const Value& v) { return v.is_undefined(); }
bool IsNone(const Value& v) { return v.is_none(); }
bool IsBoolean(const Value& v) { return v.is(Kind::kBool); }
bool IsTrue(const Value& v) { return v.is(Kind::kBool) && v.AsBool(); }
bool IsFalse(const Value& v) { return v.is(Kind::kBool) && !v.AsBool(); }
bool IsInteger(const Value& v) { return v.is(Kind::kInt) || v.is(Kind::kBigInt); }
bool IsFloat(const Value& v) { return v.is(Kind::kFloat); }
bool IsNumber(const Value& v) { return v.is_number(); }
bool IsString(const Value& v) { return v.is_string(); }
bool IsMapping(const Value& v) { return v.is(Kind::kDict); }
bool IsIterableTest(const Value& v) { return IsIterable(v) || v.is(Kind::kLoop); }
bool IsSequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::kDict) ||
         v.is(Kind::kRange);
}
bool IsEscaped(const Value& v) { return v.is_string() && v.text().safe; }
bool IsCallable(const Value& v) {
  return v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is_undefined() || v.is(Kind::kLoop);
}

constexpr Test kTests[] = {
    {"defined", Simple<IsDefined>},
    {"undefined", Simple<IsUndefined>},
    {"none", Simple<IsNone>},
    {"string", Simple<IsString>},
    {"mapping", Simple<IsMapping>},
    {"iterable", Simple<IsIterableTest>},
    {"sequence", Simple<IsSequence>},
    {"number", Simple<IsNumber>},
    {"integer", Simple<IsInteger>},
    {"float", Simple<IsFloat>},
    {"boolean", Simple<IsBoolean>},
    {"true", Simple<IsTrue>},
    {"false", Simple<IsFalse>},
    {"callable", Simple<IsCallable>},
    {"escaped", Simple<IsEscaped>},
    {"odd", Parity<1>},
    {"even", Parity<0>},
    {"divisibleby", DivisibleBy},
    {"lower", Case<false>},
    {"upper", Case<true>},
    {"sameas", SameAs},
    {"filter", IsFilterName},
    {"test", IsTestName},
    {"in", Comparison<CompareOp::kIn>},
    {"==", Comparison<CompareOp::kEq>},
    {"eq", Comparison<CompareOp::kEq>},
    {"equalto", Comparison<CompareOp::kEq>},
    {"!=", Comparison<CompareOp::kNe>},
    {"ne", Comparison<CompareOp::kNe>},
    {"<", Comparison<CompareOp::kLt>},
    {"lt", Comparison<CompareOp::kLt>},
    {"lessthan", Comparison<CompareOp::kLt>},
    {"<=", Comparison<CompareOp::kLe>},
    {"le", Comparison<CompareOp::kLe>},
    {">", Comparison<CompareOp::kGt>},
    {"gt", Comparison<CompareOp::kGt>},
    {"greaterthan", Comparison<CompareOp::kGt>},
    {">=", Comparison<CompareOp::kGe>},
    {"ge", Comparison<CompareOp::kGe>},
};

}  // namespace

const Test* FindTest(std::string_view name) {
  for (const Test& test : kTests) {
    if (test.name == name) return &test;
  }
  return nullptr;
}

}  // namespace mach::jinja
