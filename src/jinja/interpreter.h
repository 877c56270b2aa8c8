// Walks the syntax tree of a template and renders it once.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/loop.h"
#include "jinja/runtime.h"
#include "jinja/value.h"
#include "json/value.h"

namespace mach::jinja {

class Interpreter : public Runtime {
 public:
  // REQUIRES: tree and options outlive it.
  Interpreter(const Tree& tree, const RenderOptions& options);
  ~Interpreter();

  // Once.
  Result<Rendered> Run(const json::Object& variables);

  // For filters, tests, methods and globals.

  // object.name: attributes and methods come before keys. Missing ones are undefined.
  Result<Value> Attribute(const Value& object, std::string_view name);
  // object[key]: keys and indexes come before attributes.
  Result<Value> Item(const Value& object, const Value& key);
  // As Attribute, without keys.
  Result<Value> AttributeOnly(const Value& object, std::string_view name);
  Result<Value> Call(const Value& callee, Arguments& args);
  Result<Value> CallFilter(std::string_view name, const Value& subject, Arguments& args);
  Result<bool> CallTest(std::string_view name, const Value& subject, const Arguments& args);
  // Namespaces live as long as the render, so that no cycle of them leaks.
  Result<Value> MakeNamespace();
  // Keeps the loop as long as the render, for the same reason.
  void Keep(const Value& loop);

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };
  using Scope = std::shared_ptr<Frame>;

  // Text being collected; those under way count together against the output limit.
  class Buffer {
   public:
    explicit Buffer(Interpreter& interpreter);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    TextBuilder text;

   private:
    Interpreter& interpreter_;
  };

  Scope MakeRootScope(const json::Object& variables);
  Scope MakeFrame(Scope parent);
  Value FromVariable(std::string_view name, const json::Value& value);

  // Statements (interpreter.cc).
  Result<Flow> Exec(const Body& body, const Scope& scope, TextBuilder& out);
  Result<Flow> ExecStatement(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Result<Flow> ExecIf(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Status ExecOutput(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Result<Flow> ExecFor(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Result<Flow> RunLoop(const Stmt& stmt, const Value& iterable, const Scope& scope, int64_t depth0,
                       TextBuilder& out);
  Result<Value> FilterLoopItems(const Stmt& stmt, const Value& iterable, const Scope& scope);
  Status ExecSetBlock(const Stmt& stmt, const Scope& scope);
  Status ExecCallBlock(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Result<Flow> ExecWith(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Status ExecFilter(const Stmt& stmt, const Scope& scope, TextBuilder& out);
  Status Assign(const Target& target, const Value& value, const Scope& scope);
  Status AssignTuple(const Target& target, const Value& value, const Scope& scope);
  // The body rendered in a scope of its own.
  Result<Value> Capture(const Body& body, const Scope& scope);
  // REQUIRES: out is the innermost buffer.
  Status CheckOutput(const TextBuilder& out);
  Value MakeMacro(const MacroStmt& macro, const Scope& scope);
  Result<Value> CallMacro(const Macro& macro, Arguments& args);
  Status BindMacro(const Macro& macro, Arguments& args, Frame& frame, const Scope& scope);
  Result<Value> CallLoop(Loop& loop, Arguments& args);

  // Expressions (evaluate.cc).
  Result<Value> Eval(const Expr& expr, const Scope& scope);
  Result<Value> EvalNode(const Expr& expr, const Scope& scope);
  Result<Value> EvalName(const Expr& expr, const Scope& scope);
  Result<Value> EvalItems(const Expr& expr, const Scope& scope);
  Result<Value> EvalDict(const Expr& expr, const Scope& scope);
  Result<Value> EvalUnary(const Expr& expr, const Scope& scope);
  Result<Value> EvalBinary(const Expr& expr, const Scope& scope);
  Result<Value> EvalLogic(const Expr& expr, const Scope& scope);
  Result<Value> EvalCompare(const Expr& expr, const Scope& scope);
  Result<Value> EvalConcat(const Expr& expr, const Scope& scope);
  Result<Value> EvalCondition(const Expr& expr, const Scope& scope);
  Result<Value> EvalItem(const Expr& expr, const Scope& scope);
  Result<Value> EvalCall(const Expr& expr, const Scope& scope, const Value* caller);
  Result<Value> EvalFilter(const Expr& expr, const Scope& scope, const Value* subject);
  Result<Value> EvalTest(const Expr& expr, const Scope& scope);
  Status EvalArguments(const CallArgs& call, const Scope& scope, Arguments& args);

  // Values of assignments (growing.cc): as Eval, but what a namespace alone holds grows in place.
  struct Operand {
    const Expr* expr = nullptr;
    int line = 1;  // of an error when it is added
  };
  struct Chain {
    std::vector<Operand> operands;
    bool concat = false;
  };
  static Chain ChainFor(const Expr& expr, const Target& target);
  Result<Value> EvalAssigned(const Expr& expr, const Target& target, const Scope& scope);
  Result<Value> EvalRest(const Chain& chain, std::vector<Value> values, const Scope& scope);
  Status JoinTo(Value& whole, std::span<const Value> parts);

  // Attributes (attributes.cc): what Python's getattr finds, or nothing.
  Result<bool> FindAttribute(const Value& object, std::string_view name, Value& out);
  Result<bool> FindItem(const Value& object, const Value& key, Value& out);
  Result<bool> FindLoopAttribute(Loop& loop, std::string_view name, Value& out);
  Value Missing(const Value& object, const Value& key);

  const Tree& tree_;
  int error_line_ = 0;
  size_t calls_ = 0;                  // macro calls under way
  std::vector<size_t> buffer_sizes_;  // of the buffers under way, when last checked
  size_t buffered_ = 0;               // their sum
  // Whatever may be part of a cycle of references; cleared one by one at the end.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<Value> loops_;
  std::vector<Scope> scopes_;
};

}  // namespace mach::jinja
