#include "jinja/expression_parser.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "jinja/filters.h"
#include "jinja/tests.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

constexpr int kMaxTreeDepth = 250;
constexpr size_t kMaxKeywords = 1000;       // they are compared with each other
constexpr size_t kMaxIntegerDigits = 4300;  // Python's limit too

Value TextConstant(std::string bytes) {
  auto text = std::make_shared<Text>();
  text->bytes = std::move(bytes);
  text->Measure();
  return Value(Kind::kString, std::move(text));
}

}  // namespace

bool ExpressionParser::SkipOperator(std::string_view op) {
  if (!Current().IsOperator(op)) return false;
  Next();
  return true;
}

bool ExpressionParser::SkipName(std::string_view name) {
  if (!Current().IsName(name)) return false;
  Next();
  return true;
}

Status ExpressionParser::ExpectOperator(std::string_view op) {
  if (SkipOperator(op)) return Ok();
  return Fail("expected '" + std::string(op) + "', got '" + Describe(Current()) + "'");
}

Status ExpressionParser::Expect(TokenType type) {
  if (Current().type != type) {
    return Fail("expected '" + Describe(Token{type, 1, ""}) + "', got '" + Describe(Current()) +
                "'");
  }
  Next();
  return Ok();
}

Result<std::string> ExpressionParser::ExpectName() {
  if (Current().type != TokenType::kName) {
    return Fail("expected a name, got '" + Describe(Current()) + "'");
  }
  std::string name = Current().text;
  Next();
  return name;
}

Symbol ExpressionParser::Intern(const std::string& name) {
  const auto [it, inserted] = symbols_.emplace(name, static_cast<Symbol>(names_.size()));
  if (inserted) names_.push_back(name);
  return it->second;
}

Status ExpressionParser::Measure(Expr& expr) const {
  const auto take = [&expr](const ExprPtr& child) {
    if (child) expr.depth = std::max(expr.depth, child->depth + 1);
  };
  for (const ExprPtr& arg : expr.args) take(arg);
  if (expr.call) {
    for (const ExprPtr& arg : expr.call->positional) take(arg);
    for (const auto& [name, arg] : expr.call->keywords) take(arg);
    take(expr.call->more_positional);
    take(expr.call->more_keywords);
  }
  if (expr.depth > kMaxTreeDepth) {
    return SyntaxError(expr.line, "an expression is nested more than " +
                                      std::to_string(kMaxTreeDepth) + " levels deep");
  }
  return Ok();
}

Result<ExprPtr> ExpressionParser::Make(ExprKind kind, int line, std::vector<ExprPtr> args) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  expr->args = std::move(args);
  MACH_RETURN_IF_ERROR(Measure(*expr));
  return expr;
}

namespace {
template <class... T>
std::vector<ExprPtr> List(T... args) {
  std::vector<ExprPtr> list;
  (list.push_back(std::move(args)), ...);
  return list;
}
}  // namespace

Result<ExprPtr> ExpressionParser::ParseTuple(const TupleOptions& options) {
  const int line = Current().line;
  std::vector<ExprPtr> args;
  bool is_tuple = false;
  while (true) {
    const Token& token = Current();
    if (token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd ||
        token.IsOperator(")") || (!options.end_name.empty() && token.IsName(options.end_name))) {
      break;
    }
    MACH_TRY(ExprPtr arg, ParseExpression(options.condition));
    args.push_back(std::move(arg));
    if (!SkipOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!args.empty()) return std::move(args[0]);
    if (!options.parentheses) {
      return Fail("expected an expression, got '" + Describe(Current()) + "'");
    }
  }
  return Make(ExprKind::kTuple, line, std::move(args));
}

Result<ExprPtr> ExpressionParser::ParseExpression(bool condition) {
  const Nesting nesting(nesting_);
  if (nesting.TooDeep()) return TooDeep();
  const int line = Current().line;
  MACH_TRY(ExprPtr left, ParseOr());
  while (condition && SkipName("if")) {
    MACH_TRY(ExprPtr test, ParseOr());
    ExprPtr otherwise;
    if (SkipName("else")) {
      MACH_TRY(otherwise, ParseExpression());
    }
    MACH_TRY(left, Make(ExprKind::kCondition, line,
                        List(std::move(test), std::move(left), std::move(otherwise))));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::ParseOr() {
  MACH_TRY(ExprPtr left, ParseAnd());
  while (Current().IsName("or")) {
    const int line = Current().line;
    Next();
    MACH_TRY(ExprPtr right, ParseAnd());
    MACH_TRY(left, Make(ExprKind::kOr, line, List(std::move(left), std::move(right))));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::ParseAnd() {
  MACH_TRY(ExprPtr left, ParseNot());
  while (Current().IsName("and")) {
    const int line = Current().line;
    Next();
    MACH_TRY(ExprPtr right, ParseNot());
    MACH_TRY(left, Make(ExprKind::kAnd, line, List(std::move(left), std::move(right))));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::ParseNot() {
  const int line = Current().line;
  int count = 0;
  while (SkipName("not")) ++count;
  MACH_TRY(ExprPtr operand, ParseCompare());
  for (; count > 0; --count) {
    MACH_TRY(operand, Make(ExprKind::kNot, line, List(std::move(operand))));
  }
  return operand;
}

Result<ExprPtr> ExpressionParser::ParseCompare() {
  struct Row {
    std::string_view token;
    CompareOp op;
  };
  static constexpr Row kRows[] = {{"==", CompareOp::kEq}, {"!=", CompareOp::kNe},
                                  {"<", CompareOp::kLt},  {"<=", CompareOp::kLe},
                                  {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
  const int line = Current().line;
  MACH_TRY(ExprPtr first, ParseSum());
  std::vector<CompareOp> ops;
  std::vector<ExprPtr> args;
  args.push_back(std::move(first));
  while (true) {
    const size_t before = ops.size();
    for (const Row& row : kRows) {
      if (Current().IsOperator(row.token)) ops.push_back(row.op);
    }
    if (ops.size() != before) {
      Next();
    } else if (SkipName("in")) {
      ops.push_back(CompareOp::kIn);
    } else if (Current().IsName("not") && Look().IsName("in")) {
      Next();
      Next();
      ops.push_back(CompareOp::kNotIn);
    } else {
      break;
    }
    MACH_TRY(ExprPtr right, ParseSum());
    args.push_back(std::move(right));
  }
  if (ops.empty()) return std::move(args[0]);
  MACH_TRY(ExprPtr node, Make(ExprKind::kCompare, line, std::move(args)));
  node->ops = std::move(ops);
  return node;
}

Result<ExprPtr> ExpressionParser::ParseBinary(Rule operand, std::initializer_list<BinaryRow> rows) {
  MACH_TRY(ExprPtr left, (this->*operand)());
  while (true) {
    const BinaryRow* found = nullptr;
    for (const BinaryRow& row : rows) {
      if (Current().IsOperator(row.token)) found = &row;
    }
    if (found == nullptr) return left;
    const int line = Current().line;
    Next();
    MACH_TRY(ExprPtr right, (this->*operand)());
    MACH_TRY(left, Make(ExprKind::kBinary, line, List(std::move(left), std::move(right))));
    left->op = found->op;
  }
}

Result<ExprPtr> ExpressionParser::ParseSum() {
  return ParseBinary(&ExpressionParser::ParseConcat,
                     {{"+", BinaryOp::kAdd}, {"-", BinaryOp::kSub}});
}

Result<ExprPtr> ExpressionParser::ParseConcat() {
  const int line = Current().line;
  std::vector<ExprPtr> args;
  do {
    MACH_TRY(ExprPtr arg, ParseProduct());
    args.push_back(std::move(arg));
  } while (SkipOperator("~"));
  if (args.size() == 1) return std::move(args[0]);
  return Make(ExprKind::kConcat, line, std::move(args));
}

Result<ExprPtr> ExpressionParser::ParseProduct() {
  return ParseBinary(&ExpressionParser::ParsePower, {{"*", BinaryOp::kMul},
                                                     {"/", BinaryOp::kDiv},
                                                     {"//", BinaryOp::kFloorDiv},
                                                     {"%", BinaryOp::kMod}});
}

Result<ExprPtr> ExpressionParser::ParsePower() {
  MACH_TRY(ExprPtr left, ParseUnary(true));
  while (Current().IsOperator("**")) {
    const int line = Current().line;
    Next();
    MACH_TRY(ExprPtr right, ParseUnary(true));
    MACH_TRY(left, Make(ExprKind::kBinary, line, List(std::move(left), std::move(right))));
    left->op = BinaryOp::kPow;
  }
  return left;
}

Result<ExprPtr> ExpressionParser::ParseUnary(bool with_filter) {
  const int line = Current().line;
  ExprPtr node;
  if (Current().IsOperator("-") || Current().IsOperator("+")) {
    const Nesting nesting(nesting_);
    if (nesting.TooDeep()) return TooDeep();
    const bool negative = Current().IsOperator("-");
    Next();
    MACH_TRY(ExprPtr operand, ParseUnary(false));
    MACH_TRY(node, Make(negative ? ExprKind::kNegative : ExprKind::kPositive, line,
                        List(std::move(operand))));
  } else {
    MACH_TRY(node, ParsePrimary());
  }
  MACH_TRY(node, ParsePostfix(std::move(node)));
  if (!with_filter) return node;
  return ParseFilters(std::move(node));
}

Result<ExprPtr> ExpressionParser::ParsePrimary() {
  const Token& token = Current();
  const int line = token.line;
  if (token.type == TokenType::kName) {
    const std::string name = token.text;
    Next();
    const bool is_true = name == "true" || name == "True";
    const bool is_none = name == "none" || name == "None";
    if (is_true || is_none || name == "false" || name == "False") {
      MACH_TRY(ExprPtr node, Make(ExprKind::kConst, line, {}));
      if (!is_none) node->value = Value(is_true);
      return node;
    }
    for (SpecialNames& macro : macros_) {
      macro.varargs |= name == "varargs";
      macro.kwargs |= name == "kwargs";
      macro.caller |= name == "caller";
    }
    MACH_TRY(ExprPtr node, Make(ExprKind::kName, line, {}));
    node->symbol = Intern(name);
    return node;
  }
  if (token.type == TokenType::kString) {
    std::string text;
    for (; Current().type == TokenType::kString; Next()) text += Current().text;
    MACH_TRY(ExprPtr node, Make(ExprKind::kConst, line, {}));
    node->value = TextConstant(std::move(text));
    return node;
  }
  if (token.type == TokenType::kInteger || token.type == TokenType::kFloat) return ParseNumber();
  if (SkipOperator("(")) {
    MACH_TRY(ExprPtr node, ParseTuple({.parentheses = true}));
    MACH_RETURN_IF_ERROR(ExpectOperator(")"));
    return node;
  }
  if (token.IsOperator("[")) return ParseList();
  if (token.IsOperator("{")) return ParseDict();
  return Fail("unexpected '" + Describe(token) + "'");
}

Result<ExprPtr> ExpressionParser::ParseNumber() {
  const Token& token = Current();
  MACH_TRY(ExprPtr node, Make(ExprKind::kConst, token.line, {}));
  const std::string& text = token.text;
  if (token.type == TokenType::kFloat) {
    node->value = Value(std::strtod(text.c_str(), nullptr));
  } else {
    static constexpr std::string_view kBases = "bBoOxX";
    const size_t letter = text.size() > 1 ? kBases.find(text[1]) : std::string_view::npos;
    const int base = letter == std::string_view::npos ? 10 : (letter < 2 ? 2 : letter < 4 ? 8 : 16);
    const char* const begin = text.data() + (base == 10 ? 0 : 2);
    const char* const end = text.data() + text.size();
    int64_t number = 0;
    const auto [rest, error] = std::from_chars(begin, end, number, base);
    if (error == std::errc() && rest == end) {
      node->value = Value(number);
    } else if (base == 10 && text.size() <= kMaxIntegerDigits) {
      auto big = std::make_shared<BigInt>();
      big->digits = text;
      node->value = Value(Kind::kBigInt, std::move(big));
    } else {
      return Fail("the integer " + text.substr(0, 40) + " is too large");
    }
  }
  Next();
  return node;
}

Result<ExprPtr> ExpressionParser::ParseList() {
  const int line = Current().line;
  Next();
  std::vector<ExprPtr> items;
  while (!Current().IsOperator("]")) {
    if (!items.empty()) {
      MACH_RETURN_IF_ERROR(ExpectOperator(","));
      if (Current().IsOperator("]")) break;
    }
    MACH_TRY(ExprPtr item, ParseExpression());
    items.push_back(std::move(item));
  }
  Next();
  return Make(ExprKind::kList, line, std::move(items));
}

Result<ExprPtr> ExpressionParser::ParseDict() {
  const int line = Current().line;
  Next();
  std::vector<ExprPtr> items;
  while (!Current().IsOperator("}")) {
    if (!items.empty()) {
      MACH_RETURN_IF_ERROR(ExpectOperator(","));
      if (Current().IsOperator("}")) break;
    }
    MACH_TRY(ExprPtr key, ParseExpression());
    MACH_RETURN_IF_ERROR(ExpectOperator(":"));
    MACH_TRY(ExprPtr value, ParseExpression());
    items.push_back(std::move(key));
    items.push_back(std::move(value));
  }
  Next();
  return Make(ExprKind::kDict, line, std::move(items));
}

Result<ExprPtr> ExpressionParser::ParsePostfix(ExprPtr node) {
  while (true) {
    if (Current().IsOperator(".") || Current().IsOperator("[")) {
      MACH_TRY(node, ParseSubscript(std::move(node)));
    } else if (Current().IsOperator("(")) {
      MACH_TRY(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::ParseFilters(ExprPtr node) {
  while (true) {
    if (SkipOperator("|")) {
      MACH_TRY(node, ParseFilter(std::move(node)));
    } else if (SkipName("is")) {
      MACH_TRY(node, ParseTest(std::move(node)));
    } else if (Current().IsOperator("(")) {
      MACH_TRY(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::ParseSubscript(ExprPtr node) {
  const int line = Current().line;
  if (SkipOperator(".")) {
    if (Current().type == TokenType::kName) {
      MACH_TRY(ExprPtr attribute, Make(ExprKind::kAttribute, line, List(std::move(node))));
      attribute->name = Current().text;
      Next();
      return attribute;
    }
    if (Current().type != TokenType::kInteger) return Fail("expected a name or a number after '.'");
    MACH_TRY(ExprPtr number, ParseNumber());
    return Make(ExprKind::kItem, line, List(std::move(node), std::move(number)));
  }
  Next();
  std::vector<ExprPtr> args;
  while (!Current().IsOperator("]")) {
    if (!args.empty()) MACH_RETURN_IF_ERROR(ExpectOperator(","));
    MACH_TRY(ExprPtr arg, ParseSubscribed());
    args.push_back(std::move(arg));
  }
  Next();
  ExprPtr arg;
  if (args.size() == 1) {
    arg = std::move(args[0]);
  } else {
    for (const ExprPtr& part : args) {
      if (part->kind == ExprKind::kSlice) return Fail("a slice can not be part of a tuple");
    }
    MACH_TRY(arg, Make(ExprKind::kTuple, line, std::move(args)));
  }
  return Make(ExprKind::kItem, line, List(std::move(node), std::move(arg)));
}

Result<ExprPtr> ExpressionParser::ParseSubscribed() {
  const int line = Current().line;
  ExprPtr start;
  if (!Current().IsOperator(":")) {
    MACH_TRY(start, ParseExpression());
    if (!Current().IsOperator(":")) return start;
  }
  Next();
  ExprPtr stop;
  ExprPtr step;
  const auto ends = [this] { return Current().IsOperator("]") || Current().IsOperator(","); };
  if (!Current().IsOperator(":") && !ends()) {
    MACH_TRY(stop, ParseExpression());
  }
  if (SkipOperator(":") && !ends()) {
    MACH_TRY(step, ParseExpression());
  }
  return Make(ExprKind::kSlice, line, List(std::move(start), std::move(stop), std::move(step)));
}

Result<std::unique_ptr<CallArgs>> ExpressionParser::ParseCallArgs() {
  MACH_RETURN_IF_ERROR(ExpectOperator("("));
  auto call = std::make_unique<CallArgs>();
  const auto invalid = [this] { return Fail("invalid order of arguments in a call"); };
  bool first = true;
  while (!Current().IsOperator(")")) {
    if (!first) {
      MACH_RETURN_IF_ERROR(ExpectOperator(","));
      if (Current().IsOperator(")")) break;
    }
    first = false;
    if (SkipOperator("*")) {
      if (call->more_positional || call->more_keywords) return invalid();
      MACH_TRY(call->more_positional, ParseExpression());
    } else if (SkipOperator("**")) {
      if (call->more_keywords) return invalid();
      MACH_TRY(call->more_keywords, ParseExpression());
    } else if (Current().type == TokenType::kName && Look().IsOperator("=")) {
      if (call->more_keywords) return invalid();
      std::string name = Current().text;
      if (call->keywords.size() >= kMaxKeywords) return Fail("a call has too many arguments");
      for (const auto& keyword : call->keywords) {
        if (keyword.first == name) return Fail("keyword argument repeated: " + name);
      }
      Next();
      Next();
      MACH_TRY(ExprPtr value, ParseExpression());
      call->keywords.emplace_back(std::move(name), std::move(value));
    } else {
      if (call->more_positional || call->more_keywords || !call->keywords.empty()) return invalid();
      MACH_TRY(ExprPtr arg, ParseExpression());
      call->positional.push_back(std::move(arg));
    }
  }
  MACH_RETURN_IF_ERROR(ExpectOperator(")"));
  return call;
}

Result<ExprPtr> ExpressionParser::ParseCall(ExprPtr node) {
  const int line = Current().line;
  MACH_TRY(ExprPtr call, Make(ExprKind::kCall, line, List(std::move(node))));
  MACH_TRY(call->call, ParseCallArgs());
  MACH_RETURN_IF_ERROR(Measure(*call));
  return call;
}

Result<std::string> ExpressionParser::ParseDottedName() {
  MACH_TRY(std::string name, ExpectName());
  while (SkipOperator(".")) {
    MACH_TRY(const std::string part, ExpectName());
    name += "." + part;
  }
  return name;
}

Result<ExprPtr> ExpressionParser::ParseFilter(ExprPtr operand) {
  const int line = Current().line;
  MACH_TRY(ExprPtr node, Make(ExprKind::kFilter, line, List(std::move(operand))));
  MACH_TRY(node->name, ParseDottedName());
  node->filter = FindFilter(node->name);
  if (Current().IsOperator("(")) {
    MACH_TRY(node->call, ParseCallArgs());
    MACH_RETURN_IF_ERROR(Measure(*node));
  }
  return node;
}

Result<ExprPtr> ExpressionParser::ParseTest(ExprPtr operand) {
  const int line = Current().line;
  const bool negated = SkipName("not");
  MACH_TRY(ExprPtr node, Make(ExprKind::kTest, line, List(std::move(operand))));
  MACH_TRY(node->name, ParseDottedName());
  node->test = FindTest(node->name);
  const Token& token = Current();
  const bool argument = (token.type == TokenType::kName && !token.IsName("else") &&
                         !token.IsName("or") && !token.IsName("and")) ||
                        token.type == TokenType::kString || token.type == TokenType::kInteger ||
                        token.type == TokenType::kFloat || token.IsOperator("[") ||
                        token.IsOperator("{");
  if (token.IsOperator("(")) {
    MACH_TRY(node->call, ParseCallArgs());
  } else if (argument) {
    if (token.IsName("is")) return Fail("tests can not be chained with 'is'");
    MACH_TRY(ExprPtr arg, ParsePrimary());
    MACH_TRY(arg, ParsePostfix(std::move(arg)));
    node->call = std::make_unique<CallArgs>();
    node->call->positional.push_back(std::move(arg));
  }
  MACH_RETURN_IF_ERROR(Measure(*node));
  if (!negated) return node;
  return Make(ExprKind::kNot, line, List(std::move(node)));
}

}  // namespace mach::jinja
