#include "jinja/value.h"

#include <cmath>
#include <cstdlib>

#include "jinja/loop.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

constexpr size_t kIndexFrom = 16;  // entries; below, a linear search is faster
constexpr size_t kMaxHashKeyBytes = 1 << 20;

bool AppendHashKey(const Value& value, std::string& out) {
  switch (value.kind()) {
    case Kind::kNone:
      out += 'n';
      return true;
    case Kind::kBool:
    case Kind::kInt:
      out += 'i' + std::to_string(value.AsInt());
      return true;
    case Kind::kBigInt:
      out += 'i' + static_cast<const BigInt&>(*value.object()).digits;
      return true;
    case Kind::kFloat: {
      const double d = value.AsDouble();
      if (std::floor(d) == d && std::fabs(d) < 9.2e18) {
        out += 'i' + std::to_string(static_cast<int64_t>(d));
      } else {
        out += 'f' + json::FormatDouble(d);
      }
      return true;
    }
    case Kind::kString:
      out += 's';
      out += value.bytes();
      return true;
    case Kind::kTuple:
      out += 't';
      for (const Value& item : value.items()) {
        std::string key;
        if (!AppendHashKey(item, key)) return false;
        out += std::to_string(key.size()) + ':' + key;
        if (out.size() > kMaxHashKeyBytes) return false;
      }
      return true;
    case Kind::kUndefined:
      out += 'u';
      return true;
    case Kind::kList:
    case Kind::kDict:
    case Kind::kDictView:
      return false;
    default:
      out += 'o' + std::to_string(reinterpret_cast<uintptr_t>(value.object().get()));
      return true;
  }
}

}  // namespace

double Value::AsDouble() const {
  if (kind_ == Kind::kFloat) return scalar_.d;
  if (kind_ == Kind::kBigInt) return std::strtod(Get<BigInt>().digits.c_str(), nullptr);
  return static_cast<double>(AsInt());
}

const std::vector<Value>& Value::items() const { return Get<Sequence>().items; }
const Dict& Value::dict() const { return Get<Dict>(); }
const DictView& Value::view() const { return Get<DictView>(); }
const Range& Value::range() const { return Get<Range>(); }
const Undefined& Value::undefined() const { return Get<Undefined>(); }
const Function& Value::function() const { return Get<Function>(); }
const Macro& Value::macro() const { return Get<Macro>(); }
Generator& Value::generator() const { return Get<Generator>(); }
Namespace& Value::name_space() const { return Get<Namespace>(); }
Loop& Value::loop() const { return Get<Loop>(); }

const Value* Dict::Find(std::string_view key) const {
  if (items.size() <= kIndexFrom) {
    for (const auto& [k, v] : items) {
      if (k.is_string() && k.bytes() == key) return &v;
    }
    return nullptr;
  }
  const auto it = index_.find('s' + std::string(key));
  return it == index_.end() ? nullptr : &items[it->second].second;
}

const Value* Dict::Find(const Value& key) const {
  if (key.is_string()) return Find(std::string_view(key.bytes()));
  const std::optional<std::string> wanted = HashKey(key);
  if (!wanted) return nullptr;
  if (items.size() > kIndexFrom) {
    const auto it = index_.find(*wanted);
    return it == index_.end() ? nullptr : &items[it->second].second;
  }
  for (const auto& [k, v] : items) {
    if (!k.is_string() && HashKey(k) == wanted) return &v;
  }
  return nullptr;
}

bool Dict::Set(const Value& key, Value value) {
  if (const Value* found = Find(key)) {
    const_cast<Value&>(*found) = std::move(value);
    return true;
  }
  std::optional<std::string> hash;
  if (!key.is_string() || items.size() >= kIndexFrom) {
    hash = HashKey(key);
    if (!hash) return false;
  }
  items.emplace_back(key, std::move(value));
  if (items.size() == kIndexFrom + 1) {
    for (size_t i = 0; i < items.size(); ++i) index_.emplace(*HashKey(items[i].first), i);
  } else if (items.size() > kIndexFrom) {
    index_.emplace(std::move(*hash), items.size() - 1);
  }
  return true;
}

Value* Namespace::Find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.text().safe ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      switch (value.view().what) {
        case DictView::What::kKeys:
          return "dict_keys";
        case DictView::What::kValues:
          return "dict_values";
        default:
          return "dict_items";
      }
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "object";
}

std::optional<std::string> HashKey(const Value& value) {
  std::string key;
  if (!AppendHashKey(value, key)) return std::nullopt;
  return key;
}

}  // namespace mach::jinja
