// The expressions of the language, over a list of tokens. The statement parser derives from it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace mach::jinja {

class ExpressionParser {
 protected:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Current() const { return tokens_[at_]; }
  const Token& Look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void Next() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool SkipOperator(std::string_view op);
  bool SkipName(std::string_view name);
  Status ExpectOperator(std::string_view op);
  Status Expect(TokenType type);
  Result<std::string> ExpectName();
  Error Fail(std::string message) const { return SyntaxError(Current().line, std::move(message)); }

  Error TooDeep() const {
    return Fail("expressions and blocks are nested more than 100 levels deep");
  }

  Symbol Intern(const std::string& name);

  struct TupleOptions {
    bool condition = true;      // `a if b` may stand in it
    bool parentheses = false;   // explicit ones: it may be empty
    std::string_view end_name;  // a name that ends it
  };
  Result<ExprPtr> ParseTuple(const TupleOptions& options);
  Result<ExprPtr> ParseExpression(bool condition = true);
  Result<ExprPtr> ParsePrimary();
  // A filter after `|`, or in a filter block, where it has no operand.
  Result<ExprPtr> ParseFilter(ExprPtr operand);

  // Names that macros take specially, seen since the macro around began.
  struct SpecialNames {
    bool varargs = false;
    bool kwargs = false;
    bool caller = false;
  };
  std::vector<SpecialNames> macros_;

  // Counts nested constructs of any kind.
  class Nesting {
   public:
    explicit Nesting(int& depth) : depth_(depth) { ++depth_; }
    ~Nesting() { --depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    bool TooDeep() const { return depth_ > kMaxNesting; }

   private:
    static constexpr int kMaxNesting = 100;
    int& depth_;
  };
  int nesting_ = 0;

  std::vector<std::string> names_;

 private:
  using Rule = Result<ExprPtr> (ExpressionParser::*)();

  Result<ExprPtr> Make(ExprKind kind, int line, std::vector<ExprPtr> args);
  Status Measure(Expr& expr) const;
  Result<ExprPtr> ParseOr();
  Result<ExprPtr> ParseAnd();
  Result<ExprPtr> ParseNot();
  Result<ExprPtr> ParseCompare();
  Result<ExprPtr> ParseSum();
  Result<ExprPtr> ParseConcat();
  Result<ExprPtr> ParseProduct();
  Result<ExprPtr> ParsePower();
  Result<ExprPtr> ParseUnary(bool with_filter);
  Result<ExprPtr> ParsePostfix(ExprPtr node);
  Result<ExprPtr> ParseFilters(ExprPtr node);
  Result<ExprPtr> ParseSubscript(ExprPtr node);
  Result<ExprPtr> ParseSubscribed();
  Result<ExprPtr> ParseCall(ExprPtr node);
  Result<ExprPtr> ParseTest(ExprPtr node);
  Result<ExprPtr> ParseList();
  Result<ExprPtr> ParseDict();
  Result<ExprPtr> ParseNumber();
  Result<std::unique_ptr<CallArgs>> ParseCallArgs();
  Result<std::string> ParseDottedName();
  struct BinaryRow {
    std::string_view token;
    BinaryOp op;
  };
  Result<ExprPtr> ParseBinary(Rule operand, std::initializer_list<BinaryRow> rows);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::unordered_map<std::string, Symbol> symbols_;
};

}  // namespace mach::jinja
