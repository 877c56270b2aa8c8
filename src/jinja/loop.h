// Iteration over values, and the `loop` variable of a for statement.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/runtime.h"
#include "jinja/value.h"

namespace mach::jinja {

// Walks what Python can iterate: strings by characters, mappings by keys, generators once.
class Iterator {
 public:
  // An error where the value is not iterable.
  static Result<Iterator> Make(const Value& value);

  // False at the end.
  Result<bool> Next(Runtime& runtime, Value& out);

 private:
  explicit Iterator(Value source) : source_(std::move(source)) {}
  Value source_;
  size_t at_ = 0;
  bool done_ = false;
};

bool IsIterable(const Value& value);

// len(value), or nothing where Python raises.
std::optional<size_t> LengthOf(const Value& value);

// All items. An error where the value is not iterable.
Result<std::vector<Value>> Collect(Runtime& runtime, const Value& value);

// The variables of one scope. Lookups go outward along parent.
class Frame final : public Object {
 public:
  explicit Frame(std::shared_ptr<Frame> parent) : parent_(std::move(parent)) {}

  // Null where no scope has the variable.
  const Value* Find(Symbol symbol) const;
  void Set(Symbol symbol, Value value);
  // Drops all references: macros may refer to the scope that holds them.
  void Clear() {
    few_.clear();
    many_.clear();
    parent_.reset();
  }

 private:
  std::shared_ptr<Frame> parent_;
  std::vector<std::pair<Symbol, Value>> few_;
  std::unordered_map<Symbol, Value> many_;  // what does not fit into few_
};

struct Loop final : Object {
  explicit Loop(Iterator items) : iterator(std::move(items)) {}

  // Takes the next item into `current`; false at the end.
  Result<bool> Advance(Runtime& runtime);
  // Null when there is none.
  Result<const Value*> Peek(Runtime& runtime);
  Result<int64_t> Length(Runtime& runtime);

  Iterator iterator;
  Value source;
  Value current;
  Value before;
  std::optional<Value> after;
  bool ended = false;
  int64_t index0 = -1;
  std::optional<int64_t> length;
  std::optional<std::vector<Value>> changed;
  int64_t depth0 = 0;
  bool kept = false;  // the interpreter holds it until the end of the render
  // Of recursive loops only: what loop(...) runs.
  const Stmt* statement = nullptr;
  std::shared_ptr<Frame> scope;
};

}  // namespace mach::jinja
