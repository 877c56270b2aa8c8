// Expressions of the interpreter. One function a kind of node, so that recursion takes little
// stack.
#include <utility>

#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/tests.h"

namespace mach::jinja {

Result<Value> Interpreter::Eval(const Expr& expr, const Scope& scope) {
  Result<Value> value = EvalNode(expr, scope);
  if (!value && error_line_ == 0) error_line_ = expr.line;
  return value;
}

Result<Value> Interpreter::EvalNode(const Expr& expr, const Scope& scope) {
  MACH_RETURN_IF_ERROR(Step());
  MACH_RETURN_IF_ERROR(CheckStack());
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.value;
    case ExprKind::kName:
      return EvalName(expr, scope);
    case ExprKind::kList:
    case ExprKind::kTuple:
      return EvalItems(expr, scope);
    case ExprKind::kDict:
      return EvalDict(expr, scope);
    case ExprKind::kNot:
    case ExprKind::kNegative:
    case ExprKind::kPositive:
      return EvalUnary(expr, scope);
    case ExprKind::kBinary:
      return EvalBinary(expr, scope);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return EvalLogic(expr, scope);
    case ExprKind::kCompare:
      return EvalCompare(expr, scope);
    case ExprKind::kConcat:
      return EvalConcat(expr, scope);
    case ExprKind::kCondition:
      return EvalCondition(expr, scope);
    case ExprKind::kAttribute: {
      MACH_TRY(const Value object, Eval(*expr.args[0], scope));
      return Attribute(object, expr.name);
    }
    case ExprKind::kItem:
      return EvalItem(expr, scope);
    case ExprKind::kCall:
      return EvalCall(expr, scope, nullptr);
    case ExprKind::kFilter:
      return EvalFilter(expr, scope, nullptr);
    case ExprKind::kTest:
      return EvalTest(expr, scope);
    case ExprKind::kSlice:
      break;
  }
  return RenderError("a slice stands outside of [...]");
}

Result<Value> Interpreter::EvalName(const Expr& expr, const Scope& scope) {
  if (const Value* value = scope->Find(expr.symbol)) return *value;
  return MakeUndefined("'" + tree_.names[static_cast<size_t>(expr.symbol)] + "' is undefined");
}

Result<Value> Interpreter::EvalItems(const Expr& expr, const Scope& scope) {
  std::vector<Value> items;
  items.reserve(expr.args.size());
  for (const ExprPtr& arg : expr.args) {
    MACH_TRY(Value item, Eval(*arg, scope));
    items.push_back(std::move(item));
  }
  return MakeSequence(expr.kind == ExprKind::kList ? Kind::kList : Kind::kTuple, std::move(items));
}

Result<Value> Interpreter::EvalDict(const Expr& expr, const Scope& scope) {
  std::vector<std::pair<Value, Value>> items;
  for (size_t i = 0; i < expr.args.size(); i += 2) {
    MACH_TRY(Value key, Eval(*expr.args[i], scope));
    MACH_TRY(Value value, Eval(*expr.args[i + 1], scope));
    items.emplace_back(std::move(key), std::move(value));
  }
  return MakeDict(std::move(items));
}

Result<Value> Interpreter::EvalUnary(const Expr& expr, const Scope& scope) {
  MACH_TRY(const Value value, Eval(*expr.args[0], scope));
  if (expr.kind == ExprKind::kNot) return Value(!Truth(value));
  if (expr.kind == ExprKind::kNegative) return Negate(*this, value);
  if (value.is(Kind::kBool)) return Value(value.AsInt());
  if (value.is_number()) return value;
  if (value.is_undefined()) return RenderError(value.undefined().message);
  return RenderError("bad operand type for unary +: '" + std::string(TypeName(value)) + "'");
}

Result<Value> Interpreter::EvalBinary(const Expr& expr, const Scope& scope) {
  MACH_TRY(const Value left, Eval(*expr.args[0], scope));
  MACH_TRY(const Value right, Eval(*expr.args[1], scope));
  return Binary(*this, expr.op, left, right);
}

Result<Value> Interpreter::EvalLogic(const Expr& expr, const Scope& scope) {
  MACH_TRY(Value left, Eval(*expr.args[0], scope));
  if (Truth(left) == (expr.kind == ExprKind::kOr)) return left;
  return Eval(*expr.args[1], scope);
}

Result<Value> Interpreter::EvalCompare(const Expr& expr, const Scope& scope) {
  MACH_TRY(Value left, Eval(*expr.args[0], scope));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    MACH_TRY(Value right, Eval(*expr.args[i + 1], scope));
    MACH_TRY(const bool holds, Compare(*this, expr.ops[i], left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::EvalConcat(const Expr& expr, const Scope& scope) {
  TextBuilder builder;
  for (const ExprPtr& arg : expr.args) {
    MACH_TRY(const Value value, Eval(*arg, scope));
    MACH_RETURN_IF_ERROR(AppendStr(*this, value, builder));
  }
  return MakeText(std::move(builder));
}

Result<Value> Interpreter::EvalCondition(const Expr& expr, const Scope& scope) {
  MACH_TRY(const Value test, Eval(*expr.args[0], scope));
  if (Truth(test)) return Eval(*expr.args[1], scope);
  if (expr.args[2]) return Eval(*expr.args[2], scope);
  return MakeUndefined("the inline if-expression on line " + std::to_string(expr.line) +
                       " evaluated to false and no else section was defined.");
}

Result<Value> Interpreter::EvalItem(const Expr& expr, const Scope& scope) {
  MACH_TRY(const Value object, Eval(*expr.args[0], scope));
  const Expr& key = *expr.args[1];
  if (key.kind != ExprKind::kSlice) {
    MACH_TRY(const Value value, Eval(key, scope));
    return Item(object, value);
  }
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!key.args[i]) continue;
    MACH_TRY(parts[i], Eval(*key.args[i], scope));
  }
  return Slice(*this, object, parts[0], parts[1], parts[2]);
}

Status Interpreter::EvalArguments(const CallArgs& call, const Scope& scope, Arguments& args) {
  for (const ExprPtr& arg : call.positional) {
    MACH_TRY(Value value, Eval(*arg, scope));
    args.positional.push_back(std::move(value));
  }
  for (const auto& [name, arg] : call.keywords) {
    MACH_TRY(Value value, Eval(*arg, scope));
    args.keywords.emplace_back(name, std::move(value));
  }
  if (call.more_positional) {
    MACH_TRY(const Value more, Eval(*call.more_positional, scope));
    MACH_TRY(std::vector<Value> items, Collect(*this, more));
    for (Value& item : items) args.positional.push_back(std::move(item));
  }
  if (call.more_keywords) {
    MACH_TRY(const Value more, Eval(*call.more_keywords, scope));
    if (!more.is(Kind::kDict)) return RenderError("the argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict().items) {
      if (!key.is_string()) return RenderError("keywords must be strings");
      for (const auto& [name, given] : args.keywords) {
        MACH_RETURN_IF_ERROR(Step());
        if (name == key.bytes())
          return RenderError("two values for keyword argument '" + name + "'");
      }
      args.keywords.emplace_back(key.bytes(), value);
    }
  }
  return Ok();
}

Result<Value> Interpreter::EvalCall(const Expr& expr, const Scope& scope, const Value* caller) {
  MACH_TRY(const Value callee, Eval(*expr.args[0], scope));
  Arguments args;
  MACH_RETURN_IF_ERROR(EvalArguments(*expr.call, scope, args));
  if (caller != nullptr) args.keywords.emplace_back("caller", *caller);
  return Call(callee, args);
}

Result<Value> Interpreter::EvalFilter(const Expr& expr, const Scope& scope, const Value* subject) {
  Value value;
  if (expr.args[0]) {
    // In a filter block, the innermost filter of the chain takes the block's text.
    if (subject != nullptr) {
      MACH_TRY(value, EvalFilter(*expr.args[0], scope, subject));
    } else {
      MACH_TRY(value, Eval(*expr.args[0], scope));
    }
  } else if (subject != nullptr) {
    value = *subject;
  }
  if (expr.filter == nullptr) return RenderError("No filter named '" + expr.name + "'.");
  Arguments args;
  if (expr.call) MACH_RETURN_IF_ERROR(EvalArguments(*expr.call, scope, args));
  return expr.filter->call(*this, value, args);
}

Result<Value> Interpreter::EvalTest(const Expr& expr, const Scope& scope) {
  MACH_TRY(const Value value, Eval(*expr.args[0], scope));
  if (expr.test == nullptr) return RenderError("No test named '" + expr.name + "'.");
  Arguments args;
  if (expr.call) MACH_RETURN_IF_ERROR(EvalArguments(*expr.call, scope, args));
  MACH_TRY(const bool holds, expr.test->call(*this, value, args));
  return Value(holds);
}

Result<Value> Interpreter::Call(const Value& callee, Arguments& args) {
  MACH_RETURN_IF_ERROR(Step());
  switch (callee.kind()) {
    case Kind::kMacro:
      return CallMacro(callee.macro(), args);
    case Kind::kFunction:
      return callee.function().call(*this, callee.function().self, args);
    case Kind::kLoop:
      return CallLoop(callee.loop(), args);
    case Kind::kUndefined:
      return RenderError(callee.undefined().message);
    default:
      return RenderError("'" + std::string(TypeName(callee)) + "' object is not callable");
  }
}

Result<Value> Interpreter::CallFilter(std::string_view name, const Value& subject,
                                      Arguments& args) {
  MACH_RETURN_IF_ERROR(CheckStack());
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) return RenderError("No filter named '" + std::string(name) + "'.");
  return filter->call(*this, subject, args);
}

Result<bool> Interpreter::CallTest(std::string_view name, const Value& subject,
                                   const Arguments& args) {
  const Test* test = FindTest(name);
  if (test == nullptr) return RenderError("No test named '" + std::string(name) + "'.");
  return test->call(*this, subject, args);
}

}  // namespace mach::jinja
