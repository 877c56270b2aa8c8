#include "jinja/parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "jinja/expression_parser.h"
#include "jinja/lexer.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

using StmtPtr = std::unique_ptr<Stmt>;

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Result<Tree> Run() {
    Tree tree;
    MACH_TRY(tree.body, ParseBody({}));
    tree.loop = Intern("loop");
    tree.caller = Intern("caller");
    tree.varargs = Intern("varargs");
    tree.kwargs = Intern("kwargs");
    tree.names = std::move(names_);
    return tree;
  }

 private:
  using EndTags = std::initializer_list<std::string_view>;

  StmtPtr Make(StmtKind kind) const {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = Current().line;
    return stmt;
  }

  // Statements up to one of the end tags, whose name is then the current token; without end tags,
  // up to the end of the template.
  Result<Body> ParseBody(EndTags end_tags) {
    const Nesting nesting(nesting_);
    if (nesting.TooDeep()) return TooDeep();
    Body body;
    while (Current().type != TokenType::kEof) {
      if (Current().type == TokenType::kData) {
        StmtPtr stmt = Make(StmtKind::kText);
        auto text = std::make_shared<Text>();
        text->bytes = Current().text;
        text->Measure();
        stmt->text = Value(Kind::kString, std::move(text));
        body.push_back(std::move(stmt));
        Next();
      } else if (Current().type == TokenType::kVariableBegin) {
        StmtPtr stmt = Make(StmtKind::kOutput);
        Next();
        MACH_TRY(ExprPtr expr, ParseTuple({}));
        stmt->exprs.push_back(std::move(expr));
        MACH_RETURN_IF_ERROR(Expect(TokenType::kVariableEnd));
        body.push_back(std::move(stmt));
      } else {
        MACH_RETURN_IF_ERROR(Expect(TokenType::kBlockBegin));
        for (const std::string_view tag : end_tags) {
          if (Current().IsName(tag)) return body;
        }
        MACH_TRY(StmtPtr stmt, ParseStatement(end_tags));
        body.push_back(std::move(stmt));
        MACH_RETURN_IF_ERROR(Expect(TokenType::kBlockEnd));
      }
    }
    if (end_tags.size() != 0) return Fail("unexpected end of template, expected " + Tags(end_tags));
    return body;
  }

  static std::string Tags(EndTags tags) {
    std::string text;
    for (const std::string_view tag : tags) {
      text += (text.empty() ? "'" : " or '") + std::string(tag) + "'";
    }
    return text;
  }

  // The body after a block tag: the rest of the tag, then statements up to an end tag.
  Result<Body> ParseBlock(EndTags end_tags) {
    SkipOperator(":");
    MACH_RETURN_IF_ERROR(Expect(TokenType::kBlockEnd));
    return ParseBody(end_tags);
  }
  Result<Body> ParseLastBlock(std::string_view end_tag) {
    MACH_TRY(Body body, ParseBlock({end_tag}));
    Next();
    return body;
  }

  // A body in which loop controls have no loop: what it prints is collected first.
  Result<Body> ParseWithoutLoop(std::string_view end_tag) {
    const int loops_outside = std::exchange(loops_, 0);
    Result<Body> body = ParseLastBlock(end_tag);
    loops_ = loops_outside;
    return body;
  }

  Result<StmtPtr> ParseStatement(EndTags end_tags) {
    if (Current().type != TokenType::kName) return Fail("tag name expected");
    const std::string& tag = Current().text;
    struct Row {
      std::string_view tag;
      Result<StmtPtr> (Parser::*parse)();
    };
    static constexpr Row kRows[] = {
        {"if", &Parser::ParseIf},
        {"for", &Parser::ParseFor},
        {"set", &Parser::ParseSet},
        {"macro", &Parser::ParseMacro},
        {"call", &Parser::ParseCallBlock},
        {"filter", &Parser::ParseFilterBlock},
        {"with", &Parser::ParseWith},
        {"generation", &Parser::ParseGeneration},
        {"print", &Parser::ParsePrint},
        {"break", &Parser::ParseLoopControl},
        {"continue", &Parser::ParseLoopControl},
    };
    for (const Row& row : kRows) {
      if (tag == row.tag) return (this->*row.parse)();
    }
    static constexpr std::array<std::string_view, 10> kUnsupported = {
        "include",    "import", "from",  "extends", "block",
        "autoescape", "do",     "trans", "debug",   "endblock"};
    if (std::find(kUnsupported.begin(), kUnsupported.end(), tag) != kUnsupported.end()) {
      return Error{Code::kUnsupported, "chat template line " + std::to_string(Current().line) +
                                           ": the statement '" + tag +
                                           "' is not supported in chat templates"};
    }
    std::string message = "unknown tag '" + tag + "'";
    if (end_tags.size() != 0) message += ", expected " + Tags(end_tags);
    return Fail(std::move(message));
  }

  Result<Target> NameTarget() {
    Target target;
    target.line = Current().line;
    MACH_TRY(const std::string name, ExpectName());
    static constexpr std::array<std::string_view, 6> kConstants = {"true",  "True", "false",
                                                                   "False", "none", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end()) {
      return Fail("can't assign to '" + name + "'");
    }
    target.symbol = Intern(name);
    return target;
  }

  Result<Target> OneTarget(std::string_view end_name) {
    const Nesting nesting(nesting_);
    if (nesting.TooDeep()) return TooDeep();
    if (!SkipOperator("(")) return NameTarget();
    MACH_TRY(Target inner, ParseTarget(end_name));
    MACH_RETURN_IF_ERROR(ExpectOperator(")"));
    return inner;
  }

  // name, or a tuple of targets up to `=`, the end of the tag, or end_name.
  Result<Target> ParseTarget(std::string_view end_name) {
    MACH_TRY(Target first, OneTarget(end_name));
    if (!Current().IsOperator(",")) return first;
    Target tuple;
    tuple.kind = Target::Kind::kTuple;
    tuple.line = first.line;
    tuple.targets.push_back(std::move(first));
    while (SkipOperator(",")) {
      if (Current().IsOperator("=") || Current().IsOperator(")") ||
          Current().type == TokenType::kBlockEnd ||
          (!end_name.empty() && Current().IsName(end_name))) {
        break;
      }
      MACH_TRY(Target next, OneTarget(end_name));
      tuple.targets.push_back(std::move(next));
    }
    return tuple;
  }

  Result<StmtPtr> ParseIf() {
    StmtPtr stmt = Make(StmtKind::kIf);
    Next();
    while (true) {
      MACH_TRY(ExprPtr test, ParseTuple({.condition = false}));
      stmt->exprs.push_back(std::move(test));
      MACH_TRY(Body body, ParseBlock({"elif", "else", "endif"}));
      stmt->bodies.push_back(std::move(body));
      if (SkipName("elif")) continue;
      if (SkipName("else")) {
        MACH_TRY(Body otherwise, ParseBlock({"endif"}));
        stmt->bodies.push_back(std::move(otherwise));
      }
      Next();
      return stmt;
    }
  }

  Result<StmtPtr> ParseFor() {
    StmtPtr stmt = Make(StmtKind::kFor);
    Next();
    MACH_TRY(Target target, ParseTarget("in"));
    stmt->targets.push_back(std::move(target));
    if (!SkipName("in")) return Fail("expected 'in', got '" + Describe(Current()) + "'");
    MACH_TRY(ExprPtr iterable, ParseTuple({.condition = false, .end_name = "recursive"}));
    ExprPtr test;
    if (SkipName("if")) {
      MACH_TRY(test, ParseExpression());
    }
    stmt->exprs.push_back(std::move(iterable));
    stmt->exprs.push_back(std::move(test));
    stmt->recursive = SkipName("recursive");
    const int loops_outside = std::exchange(loops_, 1);
    Result<Body> body = ParseBlock({"endfor", "else"});
    loops_ = loops_outside;
    MACH_TRY(Body parsed, std::move(body));
    stmt->bodies.push_back(std::move(parsed));
    Body otherwise;
    if (SkipName("else")) {
      MACH_TRY(otherwise, ParseBlock({"endfor"}));
    }
    Next();
    stmt->bodies.push_back(std::move(otherwise));
    return stmt;
  }

  Result<StmtPtr> ParseSet() {
    StmtPtr stmt = Make(StmtKind::kSet);
    Next();
    if (Look().IsOperator(".")) {
      MACH_TRY(Target target, NameTarget());
      target.kind = Target::Kind::kAttribute;
      Next();
      MACH_TRY(target.attribute, ExpectName());
      stmt->targets.push_back(std::move(target));
    } else {
      MACH_TRY(Target target, ParseTarget(""));
      stmt->targets.push_back(std::move(target));
    }
    if (SkipOperator("=")) {
      MACH_TRY(ExprPtr value, ParseTuple({}));
      stmt->exprs.push_back(std::move(value));
      return stmt;
    }
    stmt->kind = StmtKind::kSetBlock;
    ExprPtr filter;
    while (SkipOperator("|")) {
      MACH_TRY(filter, ParseFilter(std::move(filter)));
    }
    if (filter) stmt->exprs.push_back(std::move(filter));
    MACH_TRY(Body body, ParseWithoutLoop("endset"));
    stmt->bodies.push_back(std::move(body));
    return stmt;
  }

  Status ParseMacroBody(MacroStmt& macro, std::string_view end_tag) {
    MACH_TRY(macro.body, ParseWithoutLoop(end_tag));
    macro.uses_varargs = macros_.back().varargs;
    macro.uses_kwargs = macros_.back().kwargs;
    macro.uses_caller = macros_.back().caller;
    macros_.pop_back();
    return Ok();
  }

  Status ParseSignature(MacroStmt& macro) {
    MACH_RETURN_IF_ERROR(ExpectOperator("("));
    while (!Current().IsOperator(")")) {
      if (!macro.parameters.empty()) MACH_RETURN_IF_ERROR(ExpectOperator(","));
      constexpr size_t kMaxParameters = 1000;  // they are compared with each other
      if (macro.parameters.size() >= kMaxParameters) return Fail("too many parameters");
      const std::string name = Current().text;
      MACH_TRY(const Target parameter, NameTarget());
      if (std::find(macro.parameter_names.begin(), macro.parameter_names.end(), name) !=
          macro.parameter_names.end()) {
        return Fail("duplicate parameter '" + name + "'");
      }
      macro.parameters.push_back(parameter.symbol);
      macro.parameter_names.push_back(name);
      if (SkipOperator("=")) {
        MACH_TRY(ExprPtr value, ParseExpression());
        macro.defaults.push_back(std::move(value));
      } else if (!macro.defaults.empty()) {
        return Fail("a parameter without default follows one with a default");
      }
    }
    return ExpectOperator(")");
  }

  Result<StmtPtr> ParseMacro() {
    StmtPtr stmt = Make(StmtKind::kMacro);
    Next();
    stmt->macro = std::make_unique<MacroStmt>();
    MacroStmt& macro = *stmt->macro;
    macro.name = Current().text;
    MACH_TRY(const Target name, NameTarget());
    macro.symbol = name.symbol;
    macros_.emplace_back();
    MACH_RETURN_IF_ERROR(ParseSignature(macro));
    MACH_RETURN_IF_ERROR(ParseMacroBody(macro, "endmacro"));
    return stmt;
  }

  Result<StmtPtr> ParseCallBlock() {
    StmtPtr stmt = Make(StmtKind::kCallBlock);
    Next();
    stmt->macro = std::make_unique<MacroStmt>();
    stmt->macro->name = "caller";
    macros_.emplace_back();
    if (Current().IsOperator("(")) MACH_RETURN_IF_ERROR(ParseSignature(*stmt->macro));
    MACH_TRY(ExprPtr call, ParseExpression());
    if (call->kind != ExprKind::kCall) return Fail("expected a call after 'call'");
    stmt->exprs.push_back(std::move(call));
    MACH_RETURN_IF_ERROR(ParseMacroBody(*stmt->macro, "endcall"));
    return stmt;
  }

  Result<StmtPtr> ParseFilterBlock() {
    StmtPtr stmt = Make(StmtKind::kFilter);
    Next();
    ExprPtr filter;
    do {
      MACH_TRY(filter, ParseFilter(std::move(filter)));
    } while (SkipOperator("|"));
    stmt->exprs.push_back(std::move(filter));
    MACH_TRY(Body body, ParseWithoutLoop("endfilter"));
    stmt->bodies.push_back(std::move(body));
    return stmt;
  }

  Result<StmtPtr> ParseWith() {
    StmtPtr stmt = Make(StmtKind::kWith);
    Next();
    while (Current().type != TokenType::kBlockEnd) {
      if (!stmt->targets.empty()) MACH_RETURN_IF_ERROR(ExpectOperator(","));
      MACH_TRY(Target target, OneTarget(""));
      MACH_RETURN_IF_ERROR(ExpectOperator("="));
      MACH_TRY(ExprPtr value, ParseExpression());
      stmt->targets.push_back(std::move(target));
      stmt->exprs.push_back(std::move(value));
    }
    MACH_TRY(Body body, ParseLastBlock("endwith"));
    stmt->bodies.push_back(std::move(body));
    return stmt;
  }

  Result<StmtPtr> ParseGeneration() {
    StmtPtr stmt = Make(StmtKind::kScope);
    Next();
    MACH_TRY(Body body, ParseWithoutLoop("endgeneration"));
    stmt->bodies.push_back(std::move(body));
    return stmt;
  }

  Result<StmtPtr> ParsePrint() {
    StmtPtr stmt = Make(StmtKind::kOutput);
    Next();
    while (Current().type != TokenType::kBlockEnd) {
      if (!stmt->exprs.empty()) MACH_RETURN_IF_ERROR(ExpectOperator(","));
      MACH_TRY(ExprPtr expr, ParseExpression());
      stmt->exprs.push_back(std::move(expr));
    }
    return stmt;
  }

  Result<StmtPtr> ParseLoopControl() {
    StmtPtr stmt = Make(Current().IsName("break") ? StmtKind::kBreak : StmtKind::kContinue);
    if (loops_ == 0) return Fail("'" + Current().text + "' outside of a loop");
    Next();
    return stmt;
  }

  int loops_ = 0;  // loops around, within the innermost macro
};

}  // namespace

Result<Tree> Parse(std::string_view source) {
  MACH_TRY(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace mach::jinja
