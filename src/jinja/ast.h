// The syntax tree of a template. Immutable after parsing, shared by all renders.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace mach::jinja {

// Index of a variable's name in Tree::names.
using Symbol = int;

struct Filter;  // filters.h
struct Test;    // tests.h

enum class ExprKind : uint8_t {
  kConst,      // value
  kName,       // symbol
  kList,       // args
  kTuple,      // args
  kDict,       // args: key, value, key, value, ...
  kNot,        // args[0]
  kNegative,   // args[0]
  kPositive,   // args[0]
  kBinary,     // op, args[0], args[1]
  kAnd,        // args[0], args[1]
  kOr,         // args[0], args[1]
  kCompare,    // args[0] ops[0] args[1] ops[1] args[2] ...
  kConcat,     // args
  kCondition,  // args: test, then, else (null: undefined)
  kAttribute,  // args[0].name
  kItem,       // args[0][args[1]]
  kSlice,      // args: start, stop, step, each may be null; only as args[1] of kItem
  kCall,       // args[0](call arguments)
  kFilter,     // args[0] | name(call arguments); args[0] is null in filter blocks
  kTest,       // args[0] is name(call arguments)
};

enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr more_positional;  // *expression
  ExprPtr more_keywords;    // **expression
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  BinaryOp op = BinaryOp::kAdd;
  int line = 1;
  int depth = 1;  // of the tree below, bounded by the parser
  Symbol symbol = -1;
  Value value;
  std::string name;
  std::vector<ExprPtr> args;
  std::vector<CompareOp> ops;
  std::unique_ptr<CallArgs> call;
  const Filter* filter = nullptr;  // null: no filter has this name, an error when it is evaluated
  const Test* test = nullptr;      // likewise
};

// What an assignment writes to: a name, a tuple of targets, or name.attribute of a namespace.
struct Target {
  enum class Kind : uint8_t { kName, kTuple, kAttribute };
  Kind kind = Kind::kName;
  int line = 1;
  Symbol symbol = -1;
  std::string attribute;
  std::vector<Target> targets;
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct MacroStmt {
  std::string name;
  Symbol symbol = -1;
  std::vector<Symbol> parameters;
  std::vector<std::string> parameter_names;
  std::vector<ExprPtr> defaults;  // of the last defaults.size() parameters
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
  Body body;
};

enum class StmtKind : uint8_t {
  kText,       // text
  kOutput,     // exprs, printed one after the other
  kIf,         // exprs[i] guards bodies[i]; one body more is the else
  kFor,        // target in exprs[0] [if exprs[1]]: bodies[0], else bodies[1]; recursive
  kSet,        // target = exprs[0]
  kSetBlock,   // target = bodies[0] rendered, through the filter exprs[0] when there is one
  kMacro,      // macro
  kCallBlock,  // exprs[0] (a call) with `macro` as its caller
  kFilter,     // bodies[0] rendered, through the filter exprs[0]
  kWith,       // targets[i] = exprs[i] around bodies[0]
  kScope,      // bodies[0] in a scope of its own (generation)
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 1;
  bool recursive = false;
  Value text;
  std::vector<Target> targets;
  std::vector<ExprPtr> exprs;  // kFor: exprs[1] may be null
  std::vector<Body> bodies;
  std::unique_ptr<MacroStmt> macro;
};

struct Tree {
  Body body;
  std::vector<std::string> names;  // by Symbol
  // Symbols with a meaning of their own.
  Symbol loop = -1;
  Symbol caller = -1;
  Symbol varargs = -1;
  Symbol kwargs = -1;
};

}  // namespace mach::jinja
