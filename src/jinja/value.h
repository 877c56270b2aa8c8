// Values of the template language: Python's, as far as templates can see them. A Value is a small
// handle; what it holds is shared and immutable, save namespaces, generators and loops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jinja/text.h"

namespace mach::jinja {

class Interpreter;
struct MacroStmt;
class Frame;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,  // beyond 64 bits: printed, compared and converted, no arithmetic
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,
  kRange,
  kGenerator,
  kNamespace,
  kMacro,
  kFunction,
  kLoop,
};

struct Dict;
struct DictView;
struct Function;
struct Generator;
struct Loop;
struct Macro;
struct Namespace;
struct Range;
struct Sequence;
struct Undefined;

class Value {
 public:
  Value() : kind_(Kind::kNone) {}
  explicit Value(bool b) : kind_(Kind::kBool) { scalar_.b = b; }
  explicit Value(int64_t i) : kind_(Kind::kInt) { scalar_.i = i; }
  explicit Value(double d) : kind_(Kind::kFloat) { scalar_.d = d; }
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  // int or bool, which Python counts as an int
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const {
    return is_integral() || kind_ == Kind::kFloat || kind_ == Kind::kBigInt;
  }

  // REQUIRES the matching kind. AsInt also takes a bool, AsDouble every number.
  bool AsBool() const { return scalar_.b; }
  int64_t AsInt() const { return kind_ == Kind::kBool ? int64_t{scalar_.b} : scalar_.i; }
  double AsDouble() const;
  const Text& text() const { return Get<Text>(); }
  const std::string& bytes() const { return Get<Text>().bytes; }
  const std::vector<Value>& items() const;
  const Dict& dict() const;
  const DictView& view() const;
  const Range& range() const;
  const Undefined& undefined() const;
  const Function& function() const;
  const Macro& macro() const;
  Generator& generator() const;
  Namespace& name_space() const;
  Loop& loop() const;

  const std::shared_ptr<Object>& object() const { return object_; }
  unsigned depth() const { return object_ ? object_->depth : 0; }

 private:
  template <class T>
  T& Get() const {
    return static_cast<T&>(*object_);
  }
  Kind kind_;
  union {
    bool b;
    int64_t i;
    double d;
  } scalar_{.i = 0};
  std::shared_ptr<Object> object_;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

struct Undefined final : Object {
  std::string message;  // of the error that its use raises
};

struct BigInt final : Object {
  std::string digits;  // with sign
};

// A list or a tuple.
struct Sequence final : Object {
  std::vector<Value> items;
  bool is_group = false;  // a tuple of groupby: `grouper` and `list` name its items
};

// Keys are hashable values, in the order of insertion.
struct Dict final : Object {
  const Value* Find(std::string_view key) const;
  // Null also where the key can not be hashed.
  const Value* Find(const Value& key) const;
  // A key that is there keeps its place. False: the key is not hashable.
  bool Set(const Value& key, Value value);

  std::vector<std::pair<Value, Value>> items;

 private:
  std::unordered_map<std::string, size_t> index_;  // by HashKey, of large ones only
};

struct DictView final : Object {
  enum class What : uint8_t { kKeys, kValues, kItems };
  Value dict;
  What what = What::kKeys;
};

struct Range final : Object {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
  int64_t length = 0;
};

// Yields each item once. next gives false at the end, and is not called again.
struct Generator final : Object {
  std::function<Result<bool>(Value&)> next;
};

struct Namespace final : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* Find(std::string_view name);
};

using NativeFunction = Result<Value> (*)(Interpreter&, const Value& self, Arguments&);

// A global, or a method bound to self.
struct Function final : Object {
  std::string_view name;
  Value self;
  NativeFunction call = nullptr;
};

struct Macro final : Object {
  const MacroStmt* definition = nullptr;
  std::shared_ptr<Frame> scope;  // where it was defined
};

// Python's name of the type: "str", "NoneType", ...
std::string_view TypeName(const Value& value);

// Equal for equal hashable values, different for others; nothing where Python says "unhashable
// type" (or where a tuple is too large to bother).
std::optional<std::string> HashKey(const Value& value);

}  // namespace mach::jinja
