#include "jinja/interpreter.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "jinja/format.h"
#include "jinja/globals.h"
#include "jinja/operators.h"
#include "json/value.h"

namespace mach::jinja {
namespace {

// Members of a message of any role that spell what a tool, or a client, made up.
bool IsOfCall(std::string_view key) {
  return key == "tool_calls" || key == "function_call" || key == "tool_call_id" || key == "name";
}

}  // namespace

Interpreter::Interpreter(const Tree& tree, const RenderOptions& options)
    : Runtime(options), tree_(tree) {}

Interpreter::~Interpreter() {
  for (const auto& name_space : namespaces_) name_space->attributes.clear();
  for (const Value& loop : loops_) {
    loop.loop().changed.reset();
    loop.loop().scope.reset();
  }
  for (const Scope& scope : scopes_) scope->Clear();
}

Result<Rendered> Interpreter::Run(const json::Object& variables) {
  const Scope root = MakeRootScope(variables);
  scopes_.push_back(root);
  Buffer buffer(*this);
  const Result<Flow> flow = Exec(tree_.body, root, buffer.text);
  if (!flow) {
    Error error = flow.error();
    if (error.code != Code::kInvalidArgument) {
      // A message may quote one byte of a character.
      error.message =
          "chat template line " + std::to_string(error_line_) + ": " + utf8::Repair(error.message);
    }
    return error;
  }
  Rendered rendered;
  rendered.text = buffer.text.TakeBytes();
  rendered.plain = buffer.text.TakePlain();
  return rendered;
}

Interpreter::Scope Interpreter::MakeRootScope(const json::Object& variables) {
  auto root = MakeFrame(nullptr);
  // Only what the template names: a request may carry much that it does not use.
  std::unordered_map<std::string_view, const json::Value*> given;
  for (const json::Member& member : variables) given.emplace(member.key, &member.value);
  for (size_t symbol = 0; symbol < tree_.names.size(); ++symbol) {
    const std::string& name = tree_.names[symbol];
    if (const auto it = given.find(name); it != given.end()) {
      root->Set(static_cast<Symbol>(symbol), FromVariable(name, *it->second));
      continue;
    }
    for (const Global& global : Globals()) {
      if (global.name == name) {
        root->Set(static_cast<Symbol>(symbol), MakeFunction(global.name, global.call));
      }
    }
  }
  return root;
}

Value Interpreter::FromVariable(std::string_view name, const json::Value& value) {
  const bool plain_tools = options().plain_tools;
  if (name == "tools") return FromJson(value, plain_tools);
  if (name != "messages" || !value.is_array()) return FromJson(value, false);
  const std::vector<std::string>& roles = options().plain_roles;
  std::vector<Value> messages;
  for (const json::Value& message : value.AsArray()) {
    const json::Value* role = message.Find("role");
    const bool plain = role != nullptr && role->is_string() &&
                       std::find(roles.begin(), roles.end(), role->AsString()) != roles.end();
    if (!message.is_object()) {
      messages.push_back(FromJson(message, false));
      continue;
    }
    std::vector<std::pair<Value, Value>> members;
    for (const json::Member& member : message.AsObject()) {
      members.emplace_back(FromJson(member.key, false),
                           FromJson(member.value, plain ? member.key != "role"
                                                        : plain_tools && IsOfCall(member.key)));
    }
    Result<Value> dict = MakeDict(std::move(members));
    messages.push_back(dict ? *std::move(dict) : Value());
  }
  return MakeList(std::move(messages));
}

Result<Interpreter::Flow> Interpreter::Exec(const Body& body, const Scope& scope,
                                            TextBuilder& out) {
  MACH_RETURN_IF_ERROR(CheckStack());
  for (const std::unique_ptr<Stmt>& stmt : body) {
    Result<Flow> flow = ExecStatement(*stmt, scope, out);
    if (!flow && error_line_ == 0) error_line_ = stmt->line;
    if (!flow || *flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::ExecStatement(const Stmt& stmt, const Scope& scope,
                                                     TextBuilder& out) {
  MACH_RETURN_IF_ERROR(Step());
  switch (stmt.kind) {
    case StmtKind::kText:
      out.Append(stmt.text.bytes());
      MACH_RETURN_IF_ERROR(CheckOutput(out));
      break;
    case StmtKind::kOutput:
      MACH_RETURN_IF_ERROR(ExecOutput(stmt, scope, out));
      break;
    case StmtKind::kIf:
      return ExecIf(stmt, scope, out);
    case StmtKind::kFor:
      return ExecFor(stmt, scope, out);
    case StmtKind::kSet: {
      MACH_TRY(const Value value, EvalAssigned(*stmt.exprs[0], stmt.targets[0], scope));
      MACH_RETURN_IF_ERROR(Assign(stmt.targets[0], value, scope));
      break;
    }
    case StmtKind::kSetBlock:
      MACH_RETURN_IF_ERROR(ExecSetBlock(stmt, scope));
      break;
    case StmtKind::kMacro:
      scope->Set(stmt.macro->symbol, MakeMacro(*stmt.macro, scope));
      break;
    case StmtKind::kCallBlock:
      MACH_RETURN_IF_ERROR(ExecCallBlock(stmt, scope, out));
      break;
    case StmtKind::kFilter:
      MACH_RETURN_IF_ERROR(ExecFilter(stmt, scope, out));
      break;
    case StmtKind::kWith:
      return ExecWith(stmt, scope, out);
    case StmtKind::kScope:
      return Exec(stmt.bodies[0], MakeFrame(scope), out);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::ExecIf(const Stmt& stmt, const Scope& scope,
                                              TextBuilder& out) {
  for (size_t i = 0; i < stmt.exprs.size(); ++i) {
    MACH_TRY(const Value test, Eval(*stmt.exprs[i], scope));
    if (Truth(test)) return Exec(stmt.bodies[i], scope, out);
  }
  if (stmt.bodies.size() > stmt.exprs.size()) return Exec(stmt.bodies.back(), scope, out);
  return Flow::kNormal;
}

Status Interpreter::ExecOutput(const Stmt& stmt, const Scope& scope, TextBuilder& out) {
  for (const ExprPtr& expr : stmt.exprs) {
    MACH_TRY(const Value value, Eval(*expr, scope));
    MACH_RETURN_IF_ERROR(AppendStr(*this, value, out));
    MACH_RETURN_IF_ERROR(CheckOutput(out));
  }
  return Ok();
}

Interpreter::Buffer::Buffer(Interpreter& interpreter) : interpreter_(interpreter) {
  interpreter_.buffer_sizes_.push_back(0);
}

Interpreter::Buffer::~Buffer() {
  interpreter_.buffered_ -= interpreter_.buffer_sizes_.back();
  interpreter_.buffer_sizes_.pop_back();
}

Status Interpreter::CheckOutput(const TextBuilder& out) {
  buffered_ += out.size() - buffer_sizes_.back();
  buffer_sizes_.back() = out.size();
  const size_t limit = options().limits.max_output_bytes;
  if (buffered_ <= limit) return Ok();
  return RenderError("the output is longer than " + std::to_string(limit) + " bytes");
}

Result<Interpreter::Flow> Interpreter::ExecFor(const Stmt& stmt, const Scope& scope,
                                               TextBuilder& out) {
  MACH_TRY(const Value iterable, Eval(*stmt.exprs[0], scope));
  return RunLoop(stmt, iterable, scope, 0, out);
}

// The items that pass the `if` of a for statement, which sees the target but not this `loop`.
Result<Value> Interpreter::FilterLoopItems(const Stmt& stmt, const Value& iterable,
                                           const Scope& scope) {
  MACH_TRY(Iterator it, Iterator::Make(iterable));
  std::vector<Value> passed;
  Value item;
  while (true) {
    MACH_TRY(const bool more, it.Next(*this, item));
    if (!more) break;
    const auto inner = MakeFrame(scope);
    MACH_RETURN_IF_ERROR(Assign(stmt.targets[0], item, inner));
    MACH_TRY(const Value test, Eval(*stmt.exprs[1], inner));
    if (Truth(test)) passed.push_back(item);
  }
  return MakeList(std::move(passed));
}

Result<Interpreter::Flow> Interpreter::RunLoop(const Stmt& stmt, const Value& iterable,
                                               const Scope& scope, int64_t depth0,
                                               TextBuilder& out) {
  Value source = iterable;
  if (stmt.exprs[1]) {
    MACH_TRY(source, FilterLoopItems(stmt, iterable, scope));
  }
  MACH_TRY(Iterator iterator, Iterator::Make(source));
  auto loop = std::make_shared<Loop>(std::move(iterator));
  Account(*loop, sizeof(Loop));
  SetDepth(*loop, source.depth() + 1);
  loop->source = source;
  loop->depth0 = depth0;
  const Value handle(Kind::kLoop, loop);
  if (stmt.recursive) {
    loop->statement = &stmt;
    loop->scope = scope;
    Keep(handle);
  }
  bool completed = false;  // as in Jinja2, an iteration that ends by a loop control does not count
  while (true) {
    MACH_TRY(const bool more, loop->Advance(*this));
    if (!more) break;
    const auto inner = MakeFrame(scope);
    inner->Set(tree_.loop, handle);
    MACH_RETURN_IF_ERROR(Assign(stmt.targets[0], loop->current, inner));
    MACH_TRY(const Flow flow, Exec(stmt.bodies[0], inner, out));
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNormal;
  }
  if (completed) return Flow::kNormal;
  return Exec(stmt.bodies[1], MakeFrame(scope), out);  // loop controls in it mean a loop around
}

Status Interpreter::Assign(const Target& target, const Value& value, const Scope& scope) {
  switch (target.kind) {
    case Target::Kind::kName:
      scope->Set(target.symbol, value);
      return Ok();
    case Target::Kind::kTuple:
      return AssignTuple(target, value, scope);
    case Target::Kind::kAttribute:
      break;
  }
  const Value* object = scope->Find(target.symbol);
  const std::string& name = tree_.names[static_cast<size_t>(target.symbol)];
  if (object == nullptr) return RenderError("'" + name + "' is undefined");
  if (!object->is(Kind::kNamespace)) {
    return RenderError("cannot assign attribute on non-namespace object: " + name + "." +
                       target.attribute + " of " + std::string(TypeName(*object)));
  }
  Namespace& name_space = object->name_space();
  MACH_RETURN_IF_ERROR(Step(name_space.attributes.size() / 8));
  if (Value* attribute = name_space.Find(target.attribute)) {
    *attribute = value;
  } else {
    name_space.attributes.emplace_back(target.attribute, value);
  }
  return Ok();
}

Status Interpreter::AssignTuple(const Target& target, const Value& value, const Scope& scope) {
  MACH_TRY(const std::vector<Value> items, Collect(*this, value));
  if (items.size() != target.targets.size()) {
    return RenderError("cannot unpack " + std::to_string(items.size()) + " values into " +
                       std::to_string(target.targets.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) {
    MACH_RETURN_IF_ERROR(Assign(target.targets[i], items[i], scope));
  }
  return Ok();
}

Result<Value> Interpreter::Capture(const Body& body, const Scope& scope) {
  Buffer buffer(*this);
  Result<Flow> flow = Exec(body, scope, buffer.text);
  if (!flow) return std::move(flow).error();
  return MakeText(std::move(buffer.text));
}

Status Interpreter::ExecSetBlock(const Stmt& stmt, const Scope& scope) {
  MACH_TRY(Value value, Capture(stmt.bodies[0], MakeFrame(scope)));
  if (!stmt.exprs.empty()) {
    MACH_TRY(value, EvalFilter(*stmt.exprs[0], scope, &value));
  }
  return Assign(stmt.targets[0], value, scope);
}

Status Interpreter::ExecFilter(const Stmt& stmt, const Scope& scope, TextBuilder& out) {
  MACH_TRY(const Value text, Capture(stmt.bodies[0], MakeFrame(scope)));
  MACH_TRY(const Value value, EvalFilter(*stmt.exprs[0], scope, &text));
  MACH_RETURN_IF_ERROR(AppendStr(*this, value, out));
  return CheckOutput(out);
}

Result<Interpreter::Flow> Interpreter::ExecWith(const Stmt& stmt, const Scope& scope,
                                                TextBuilder& out) {
  const auto inner = MakeFrame(scope);
  for (size_t i = 0; i < stmt.targets.size(); ++i) {
    MACH_TRY(const Value value, Eval(*stmt.exprs[i], scope));
    MACH_RETURN_IF_ERROR(Assign(stmt.targets[i], value, inner));
  }
  return Exec(stmt.bodies[0], inner, out);
}

Value Interpreter::MakeMacro(const MacroStmt& macro, const Scope& scope) {
  auto object = Make<Macro>(0);
  object->definition = &macro;
  object->scope = scope;
  if (scopes_.back() != scope) scopes_.push_back(scope);
  return Value(Kind::kMacro, std::move(object));
}

Status Interpreter::ExecCallBlock(const Stmt& stmt, const Scope& scope, TextBuilder& out) {
  const Value caller = MakeMacro(*stmt.macro, scope);
  MACH_TRY(const Value value, EvalCall(*stmt.exprs[0], scope, &caller));
  MACH_RETURN_IF_ERROR(AppendStr(*this, value, out));
  return CheckOutput(out);
}

Status Interpreter::BindMacro(const Macro& macro, Arguments& args, Frame& frame,
                              const Scope& scope) {
  const MacroStmt& definition = *macro.definition;
  const std::string name = "macro '" + definition.name + "'";
  const size_t count = definition.parameters.size();
  const auto take = [&args](std::string_view keyword) -> std::optional<Value> {
    for (size_t i = 0; i < args.keywords.size(); ++i) {
      if (args.keywords[i].first != keyword) continue;
      Value value = std::move(args.keywords[i].second);
      args.keywords.erase(args.keywords.begin() + static_cast<ptrdiff_t>(i));
      return value;
    }
    return std::nullopt;
  };
  bool has_caller_parameter = false;
  for (size_t i = 0; i < count; ++i) {
    const std::string& parameter = definition.parameter_names[i];
    has_caller_parameter |= parameter == "caller";
    std::optional<Value> value;
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else {
      value = take(parameter);
    }
    const size_t first_default = count - definition.defaults.size();
    if (!value && i >= first_default) {
      MACH_TRY(value, Eval(*definition.defaults[i - first_default], scope));
    }
    if (!value) value = MakeUndefined("parameter '" + parameter + "' was not provided");
    frame.Set(definition.parameters[i], *std::move(value));
  }
  if (definition.uses_caller && !has_caller_parameter) {
    std::optional<Value> caller = take("caller");
    frame.Set(tree_.caller, caller ? *std::move(caller) : MakeUndefined("No caller defined"));
  }
  if (definition.uses_kwargs) {
    std::vector<std::pair<Value, Value>> rest;
    for (auto& [keyword, value] : args.keywords) {
      rest.emplace_back(MakeText(keyword), std::move(value));
    }
    MACH_TRY(Value dict, MakeDict(std::move(rest)));
    frame.Set(tree_.kwargs, std::move(dict));
  } else if (!args.keywords.empty()) {
    return RenderError(name + " takes no keyword argument '" + args.keywords[0].first + "'");
  }
  if (definition.uses_varargs) {
    std::vector<Value> rest;
    for (size_t i = count; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
    frame.Set(tree_.varargs, MakeTuple(std::move(rest)));
  } else if (args.positional.size() > count) {
    return RenderError(name + " takes not more than " + std::to_string(count) + " argument(s)");
  }
  return Ok();
}

Result<Value> Interpreter::CallMacro(const Macro& macro, Arguments& args) {
  if (calls_ >= options().limits.max_depth) {
    return RenderError("maximum recursion depth exceeded: more than " +
                       std::to_string(options().limits.max_depth) +
                       " macro calls within each other");
  }
  ++calls_;
  const auto frame = MakeFrame(macro.scope);
  const Status bound = BindMacro(macro, args, *frame, frame);
  Result<Value> result =
      bound ? Capture(macro.definition->body, frame) : Result<Value>(bound.error());
  --calls_;
  return result;
}

Result<Value> Interpreter::CallLoop(Loop& loop, Arguments& args) {
  if (loop.statement == nullptr || !loop.scope) {
    return RenderError("the loop must have the 'recursive' marker to be called recursively");
  }
  if (args.positional.size() != 1 || !args.keywords.empty()) {
    return RenderError("loop() takes exactly one argument");
  }
  if (calls_ >= options().limits.max_depth) {
    return RenderError("maximum recursion depth exceeded in a recursive loop");
  }
  ++calls_;
  Buffer buffer(*this);
  const Scope scope = loop.scope;
  const Result<Flow> flow =
      RunLoop(*loop.statement, args.positional[0], scope, loop.depth0 + 1, buffer.text);
  --calls_;
  if (!flow) return flow.error();
  return MakeText(std::move(buffer.text));
}

Result<Value> Interpreter::MakeNamespace() {
  MACH_RETURN_IF_ERROR(Step());
  namespaces_.push_back(Make<Namespace>(4 * sizeof(Value)));
  return Value(Kind::kNamespace, namespaces_.back());
}

void Interpreter::Keep(const Value& loop) {
  if (std::exchange(loop.loop().kept, true)) return;
  loops_.push_back(loop);
}

std::shared_ptr<Frame> Interpreter::MakeFrame(Scope parent) {
  auto frame = std::make_shared<Frame>(std::move(parent));
  Account(*frame, sizeof(Frame) + 4 * sizeof(Value));
  return frame;
}

}  // namespace mach::jinja
