#include "json/value.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

namespace mach::json {

// Places of members under the hash of their keys.
struct Object::Index {
  std::unordered_multimap<size_t, size_t> places;
};

Object::Object() = default;
Object::Object(const Object& o) : members_(o.members_) {}
Object::Object(Object&& o) noexcept = default;
Object& Object::operator=(const Object& o) {
  if (this != &o) *this = Object(o);
  return *this;
}
Object& Object::operator=(Object&& o) noexcept = default;
Object::~Object() = default;

Object::Object(std::initializer_list<Member> members) {
  for (const Member& m : members) Set(m.key, m.value);
}

namespace {

// A search through fewer members costs less than a hash.
constexpr size_t kLeastIndexed = 32;

size_t HashOf(std::string_view key) { return std::hash<std::string_view>()(key); }

}  // namespace

void Object::BuildIndex() {
  index_ = std::make_unique<Index>();
  index_->places.reserve(members_.size());
  for (size_t i = 0; i < members_.size(); ++i) {
    index_->places.emplace(HashOf(members_[i].key), i);
  }
}

const Value* Object::Find(std::string_view key) const {
  if (index_ != nullptr) {
    const auto [begin, end] = index_->places.equal_range(HashOf(key));
    for (auto at = begin; at != end; ++at) {
      if (members_[at->second].key == key) return &members_[at->second].value;
    }
    return nullptr;
  }
  for (const Member& m : members_) {
    if (m.key == key) return &m.value;
  }
  return nullptr;
}

Value* Object::Find(std::string_view key) {
  return const_cast<Value*>(std::as_const(*this).Find(key));
}

void Object::Set(std::string_view key, Value value) {
  if (index_ == nullptr && members_.size() >= kLeastIndexed) BuildIndex();
  if (Value* found = Find(key)) {
    *found = std::move(value);
  } else {
    Append(std::string(key), std::move(value));
  }
}

bool Object::Erase(std::string_view key) {
  const bool erased = std::erase_if(members_, [&](const Member& m) { return m.key == key; }) != 0;
  if (erased) index_ = nullptr;  // places have moved
  return erased;
}

void Object::Append(std::string key, Value value) {
  if (index_ != nullptr) index_->places.emplace(HashOf(key), members_.size());
  members_.push_back({std::move(key), std::move(value)});
}

bool Object::operator==(const Object& o) const { return members_ == o.members_; }

Value::Value(const Value& o) = default;
Value::Value(Value&& o) noexcept = default;
Value& Value::operator=(const Value& o) = default;
Value& Value::operator=(Value&& o) noexcept = default;
Value::~Value() = default;
bool Value::operator==(const Value& o) const { return v_ == o.v_; }

Value::Value(BigInteger n) : v_(std::move(n)) {}
Value::Value(const char* s) : v_(std::string(s)) {}
Value::Value(std::string_view s) : v_(std::string(s)) {}
Value::Value(std::string s) : v_(std::move(s)) {}
Value::Value(Array a) : v_(std::move(a)) {}
Value::Value(Object o) : v_(std::move(o)) {}

Value::Value(uint64_t n) {
  if (n <= uint64_t{INT64_MAX}) {
    v_ = static_cast<int64_t>(n);
  } else {
    v_ = BigInteger{std::to_string(n)};
  }
}

double Value::AsDouble() const {
  if (const auto* n = std::get_if<int64_t>(&v_)) return static_cast<double>(*n);
  if (const auto* n = std::get_if<BigInteger>(&v_)) return std::strtod(n->digits.c_str(), nullptr);
  return Get<double>();
}

const Value* Value::Find(std::string_view key) const {
  const auto* object = std::get_if<Object>(&v_);
  return object == nullptr ? nullptr : object->Find(key);
}

std::string_view Value::KindName() const {
  static constexpr std::string_view kNames[] = {"null",    "boolean", "integer", "number",
                                                "integer", "string",  "array",   "object"};
  return kNames[v_.index()];
}

namespace {

const Value* Present(const Value& object, std::string_view key) {
  const Value* value = object.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Error Wrong(std::string_view key, const Value* found, std::string_view expected) {
  return Error{Code::kInvalidArgument,
               "'" + std::string(key) + "' is " +
                   (found == nullptr ? "missing" : std::string(found->KindName())) + ", expected " +
                   std::string(expected)};
}

}  // namespace

Result<int64_t> GetInt(const Value& object, std::string_view key, std::optional<int64_t> fallback) {
  const Value* v = Present(object, key);
  if (v == nullptr && fallback) return *fallback;
  if (v != nullptr && v->is_int()) return v->AsInt();
  if (v != nullptr && v->is_double()) {  // 8.0 is an integer for JSON Schema
    const double d = v->AsDouble();
    if (d == std::floor(d) && std::abs(d) < 0x1p53) return static_cast<int64_t>(d);
  }
  return Wrong(key, v, "an integer");
}

Result<double> GetDouble(const Value& object, std::string_view key,
                         std::optional<double> fallback) {
  const Value* v = Present(object, key);
  if (v == nullptr && fallback) return *fallback;
  if (v != nullptr && v->is_number()) {
    const double d = v->AsDouble();
    if (std::isfinite(d)) return d;
    return Error{Code::kInvalidArgument, "'" + std::string(key) + "' is " +
                                             (std::isnan(d) ? "NaN" : "infinite") +
                                             ", expected a finite number"};
  }
  return Wrong(key, v, "a number");
}

Result<bool> GetBool(const Value& object, std::string_view key, std::optional<bool> fallback) {
  const Value* v = Present(object, key);
  if (v == nullptr && fallback) return *fallback;
  if (v != nullptr && v->is_bool()) return v->AsBool();
  return Wrong(key, v, "a boolean");
}

Result<std::string> GetString(const Value& object, std::string_view key,
                              std::optional<std::string_view> fallback) {
  const Value* v = Present(object, key);
  if (v == nullptr && fallback) return std::string(*fallback);
  if (v != nullptr && v->is_string()) return v->AsString();
  return Wrong(key, v, "a string");
}

}  // namespace mach::json
