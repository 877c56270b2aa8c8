// Assignments that add to what a namespace holds: `{% set ns.text = ns.text + part %}`. Templates
// do so in loops, and a copy for each part would be the square of the whole.
#include <algorithm>
#include <span>
#include <utility>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"

namespace mach::jinja {
namespace {

bool IsTarget(const Expr& expr, const Target& target) {
  return expr.kind == ExprKind::kAttribute && expr.name == target.attribute &&
         expr.args[0]->kind == ExprKind::kName && expr.args[0]->symbol == target.symbol;
}

// Whether `part` can be added to `whole` in its place, with the result that + and ~ give.
bool CanJoin(const Value& whole, const Value& part, bool concat) {
  if (whole.is_string()) return part.is_string() && !whole.text().safe && !part.text().safe;
  return !concat && whole.is(Kind::kList) && part.is(Kind::kList);
}

}  // namespace

// Where the chain a + b + c, or a ~ b ~ c, begins with the target; else no operands.
Interpreter::Chain Interpreter::ChainFor(const Expr& expr, const Target& target) {
  Chain chain;
  const Expr* first = &expr;
  if (expr.kind == ExprKind::kConcat) {
    chain.concat = true;
    for (const ExprPtr& arg : expr.args) chain.operands.push_back({arg.get(), expr.line});
    first = expr.args[0].get();
  } else {
    while (first->kind == ExprKind::kBinary && first->op == BinaryOp::kAdd) {
      chain.operands.push_back({first->args[1].get(), first->line});
      first = first->args[0].get();
    }
    chain.operands.push_back({first, first->line});
    std::reverse(chain.operands.begin(), chain.operands.end());
  }
  if (!IsTarget(*first, target)) chain.operands.clear();
  return chain;
}

Result<Value> Interpreter::EvalAssigned(const Expr& expr, const Target& target,
                                        const Scope& scope) {
  if (target.kind != Target::Kind::kAttribute) return Eval(expr, scope);
  if (expr.kind == ExprKind::kCondition && expr.args[2]) {
    MACH_RETURN_IF_ERROR(Step());
    bool holds = false;
    {
      MACH_TRY(const Value test, Eval(*expr.args[0], scope));  // perhaps the target itself
      holds = Truth(test);
    }
    return EvalAssigned(*expr.args[holds ? 1 : 2], target, scope);
  }
  const Chain chain = ChainFor(expr, target);
  if (chain.operands.size() < 2) return Eval(expr, scope);
  MACH_RETURN_IF_ERROR(Step(chain.operands.size() - 1));
  // An operand may read the target, so that nothing is added before all are there. What cannot be
  // joined is added at once, as it would be elsewhere.
  std::vector<Value> values;
  for (const Operand& operand : chain.operands) {
    MACH_TRY(Value value, Eval(*operand.expr, scope));
    values.push_back(std::move(value));
    if (!CanJoin(values.front(), values.back(), chain.concat)) {
      return EvalRest(chain, std::move(values), scope);
    }
  }
  const Value* object = scope->Find(target.symbol);
  Value* place = object != nullptr && object->is(Kind::kNamespace)
                     ? object->name_space().Find(target.attribute)
                     : nullptr;
  // Held by the namespace and here, and by nothing else that could see it change.
  if (place == nullptr || place->object() != values.front().object() ||
      values.front().object().use_count() != 2) {
    return EvalRest(chain, std::move(values), scope);
  }
  *place = Value();
  MACH_RETURN_IF_ERROR(JoinTo(values.front(), std::span(values).subspan(1)));
  return std::move(values.front());
}

// The chain with its first operands evaluated.
Result<Value> Interpreter::EvalRest(const Chain& chain, std::vector<Value> values,
                                    const Scope& scope) {
  TextBuilder builder;
  Value sum;
  for (size_t i = 0; i < chain.operands.size(); ++i) {
    if (i == values.size()) {
      MACH_TRY(Value value, Eval(*chain.operands[i].expr, scope));
      values.push_back(std::move(value));
    }
    const auto added = [&]() -> Status {
      if (chain.concat) return AppendStr(*this, values[i], builder);
      if (i == 0) {
        sum = values[0];
      } else {
        MACH_TRY(sum, Binary(*this, BinaryOp::kAdd, sum, values[i]));
      }
      return Ok();
    };
    if (Status status = added(); !status) {
      if (error_line_ == 0) error_line_ = chain.operands[i].line;
      return std::move(status).error();
    }
  }
  return chain.concat ? MakeText(std::move(builder)) : sum;
}

Status Interpreter::JoinTo(Value& whole, std::span<const Value> parts) {
  if (whole.is_string()) {
    auto& text = static_cast<Text&>(*whole.object());
    const size_t bytes_before = text.bytes.size();
    const size_t spans_before = text.plain.size();
    TextBuilder builder(text);
    for (const Value& part : parts) builder.Append(part.text());
    text.bytes = builder.TakeBytes();
    text.plain = builder.TakePlain();
    text.Measure(bytes_before);
    const size_t added = text.bytes.size() - bytes_before;
    Account(text, added + (text.plain.size() - spans_before) * sizeof(Span));
    return Step(added / 64);
  }
  auto& list = static_cast<Sequence&>(*whole.object());
  const size_t before = list.items.size();
  unsigned depth = list.depth;
  for (const Value& part : parts) {
    list.items.insert(list.items.end(), part.items().begin(), part.items().end());
    depth = std::max(depth, part.depth());
  }
  SetDepth(list, depth);
  Account(list, (list.items.size() - before) * sizeof(Value));
  return Step((list.items.size() - before) / 16);
}

}  // namespace mach::jinja
