// A JSON value of our own, so that no other module sees a JSON library.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace mach::json {

class Value;
struct Member;
using Array = std::vector<Value>;

// Members in the order of the text, keys unique (a repeated key keeps the first place and the last
// value, as Python's dict does). An object that grows by Set has an index once it is large; without
// one Find is linear: iterate over large objects that were parsed.
//
// Invariant: index_ is null, or has the place of each member under the hash of its key.
class Object {
 public:
  Object();
  Object(std::initializer_list<Member> members);
  Object(const Object& o);
  Object(Object&& o) noexcept;
  Object& operator=(const Object& o);
  Object& operator=(Object&& o) noexcept;
  ~Object();

  const Value* Find(std::string_view key) const;
  Value* Find(std::string_view key);
  void Set(std::string_view key, Value value);
  bool Erase(std::string_view key);
  // REQUIRES: no member has this key.
  void Append(std::string key, Value value);

  size_t size() const;
  bool empty() const { return size() == 0; }
  auto begin() const { return members_.begin(); }
  auto end() const { return members_.end(); }
  auto begin() { return members_.begin(); }
  auto end() { return members_.end(); }
  bool operator==(const Object& o) const;

 private:
  struct Index;
  void BuildIndex();

  std::vector<Member> members_;
  std::unique_ptr<Index> index_;
};

// An integer beyond 64 bits, as its decimal digits with sign: Python keeps them, and so do we.
struct BigInteger {
  std::string digits;
  bool operator==(const BigInteger&) const = default;
};

// What walks the alternatives is in value.cc: inlined wherever values are made it would be most of
// the code there.
class Value {
 public:
  Value() = default;
  Value(const Value& o);
  Value(Value&& o) noexcept;
  Value& operator=(const Value& o);
  Value& operator=(Value&& o) noexcept;
  ~Value();
  Value(std::nullptr_t) {}               // NOLINT: implicit by design
  Value(bool b) : v_(b) {}               // NOLINT
  Value(int n) : v_(int64_t{n}) {}       // NOLINT
  Value(int64_t n) : v_(n) {}            // NOLINT
  Value(uint32_t n) : v_(int64_t{n}) {}  // NOLINT
  Value(uint64_t n);                     // NOLINT
  Value(double d) : v_(d) {}             // NOLINT
  Value(BigInteger n);                   // NOLINT
  Value(const char* s);                  // NOLINT
  Value(std::string_view s);             // NOLINT
  Value(std::string s);                  // NOLINT
  Value(Array a);                        // NOLINT
  Value(Object o);                       // NOLINT

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_int() const { return std::holds_alternative<int64_t>(v_); }
  bool is_double() const { return std::holds_alternative<double>(v_); }
  bool is_big_integer() const { return std::holds_alternative<BigInteger>(v_); }
  bool is_number() const { return is_int() || is_double() || is_big_integer(); }
  bool is_string() const { return std::holds_alternative<std::string>(v_); }
  bool is_array() const { return std::holds_alternative<Array>(v_); }
  bool is_object() const { return std::holds_alternative<Object>(v_); }

  // REQUIRES the matching kind; AsDouble takes every number.
  bool AsBool() const { return Get<bool>(); }
  int64_t AsInt() const { return Get<int64_t>(); }
  double AsDouble() const;
  const BigInteger& AsBigInteger() const { return Get<BigInteger>(); }
  const std::string& AsString() const { return Get<std::string>(); }
  const Array& AsArray() const { return Get<Array>(); }
  const Object& AsObject() const { return Get<Object>(); }
  std::string& AsString() { return const_cast<std::string&>(Get<std::string>()); }
  Array& AsArray() { return const_cast<Array&>(Get<Array>()); }
  Object& AsObject() { return const_cast<Object&>(Get<Object>()); }

  // Member of an object; null pointer when this is no object or has no such key.
  const Value* Find(std::string_view key) const;

  // "null", "boolean", "integer", "number", "string", "array" or "object", for messages.
  std::string_view KindName() const;

  bool operator==(const Value& o) const;

 private:
  template <class T>
  const T& Get() const {
    const T* p = std::get_if<T>(&v_);
    MACH_CHECK(p != nullptr);
    return *p;
  }
  std::variant<std::monostate, bool, int64_t, double, BigInteger, std::string, Array, Object> v_;
};

struct Member {
  std::string key;
  Value value;
  bool operator==(const Member&) const = default;
};

// Here, since a vector of an incomplete type may be declared but not used.
inline size_t Object::size() const { return members_.size(); }

// Typed reads of an object's members; the error names the key, what was found and what was
// expected. An absent key, or null, gives the fallback; without a fallback it is an error.
Result<int64_t> GetInt(const Value& object, std::string_view key,
                       std::optional<int64_t> fallback = std::nullopt);
Result<double> GetDouble(const Value& object, std::string_view key,
                         std::optional<double> fallback = std::nullopt);
Result<bool> GetBool(const Value& object, std::string_view key,
                     std::optional<bool> fallback = std::nullopt);
Result<std::string> GetString(const Value& object, std::string_view key,
                              std::optional<std::string_view> fallback = std::nullopt);

}  // namespace mach::json
