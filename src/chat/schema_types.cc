#include "chat/schema_types.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

namespace mach::chat {
namespace {

constexpr int kMaxSchemaDepth = 32;
constexpr size_t kMaxSchemaWork = 300'000;  // members looked at, of one function

// A set of types in order. open: any other type may be as well.
struct TypeSet {
  std::vector<ValueType> types;
  bool open = true;

  bool Has(ValueType type) const {
    return std::find(types.begin(), types.end(), type) != types.end();
  }
  // number includes integer
  bool Allows(ValueType type) const {
    return open || Has(type) || (type == ValueType::kInteger && Has(ValueType::kNumber));
  }
  void Add(ValueType type) {
    if (!Has(type)) types.push_back(type);
  }
  bool SaysNothing() const { return open && types.empty(); }
};

std::optional<ValueType> TypeNamed(std::string_view name) {
  static constexpr std::pair<std::string_view, ValueType> kNames[] = {
      {"string", ValueType::kString}, {"integer", ValueType::kInteger},
      {"number", ValueType::kNumber}, {"boolean", ValueType::kBoolean},
      {"null", ValueType::kNull},     {"object", ValueType::kObject},
      {"array", ValueType::kArray},
  };
  for (const auto& [known, type] : kNames) {
    if (known == name) return type;
  }
  return std::nullopt;
}

// A schema that contradicts itself keeps what it said first.
void Intersect(TypeSet& set, const TypeSet& other) {
  TypeSet both{{}, set.open && other.open};
  for (const ValueType type : set.types) {
    if (other.Allows(type)) {
      both.Add(type);
    } else if (type == ValueType::kNumber && other.Has(ValueType::kInteger)) {
      both.Add(ValueType::kInteger);
    }
  }
  for (const ValueType type : other.types) {
    if (set.Allows(type)) both.Add(type);
  }
  if (both.open || !both.types.empty()) set = std::move(both);
}

void Unite(TypeSet& set, const TypeSet& other) {
  for (const ValueType type : other.types) set.Add(type);
  set.open = set.open || other.open;
}

// A token of a JSON pointer in a URI fragment: "%24defs", "a~1b".
std::string PointerToken(std::string_view text) {
  const auto hex = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      plain += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  std::string out;
  for (size_t i = 0; i < plain.size(); ++i) {
    const char next = i + 1 < plain.size() ? plain[i + 1] : '\0';
    if (plain[i] == '~' && (next == '0' || next == '1')) {
      out += next == '0' ? '~' : '/';
      ++i;
    } else {
      out += plain[i];
    }
  }
  return out;
}

class SchemaReader {
 public:
  explicit SchemaReader(const json::Value& root) : root_(root) {}

  ParameterTypes Parameters() {
    ReadProperties(root_, 0);
    ParameterTypes out;
    out.reserve(properties_.size());
    for (auto& [name, set] : properties_) out.emplace_back(name, std::move(set.types));
    return out;
  }

 private:
  bool Spend(size_t work) {
    work_ += work;
    return work_ <= kMaxSchemaWork;
  }

  // Of large objects, as "$defs" may be, there is an index.
  const json::Value* Find(const json::Value& schema, std::string_view key) {
    constexpr size_t kMostSearched = 32;
    if (!schema.is_object()) return nullptr;
    const json::Object& object = schema.AsObject();
    if (object.size() <= kMostSearched) return Spend(object.size()) ? object.Find(key) : nullptr;
    const auto [place, is_new] = indexes_.try_emplace(&object);
    if (!Spend(is_new ? object.size() : 1)) return nullptr;
    if (is_new) {
      for (const json::Member& member : object) place->second.emplace(member.key, &member.value);
    }
    const auto found = place->second.find(key);
    return found == place->second.end() ? nullptr : found->second;
  }

  const json::Value* Resolve(const json::Value& schema) {
    const json::Value* reference = Find(schema, "$ref");
    if (reference == nullptr || !reference->is_string()) return nullptr;
    std::string_view path = reference->AsString();
    if (!path.starts_with('#')) return nullptr;
    path.remove_prefix(1);
    const json::Value* at = &root_;
    while (!path.empty() && at != nullptr) {
      if (path.front() != '/') return nullptr;  // an anchor
      path.remove_prefix(1);
      const size_t end = std::min(path.find('/'), path.size());
      at = Member(*at, PointerToken(path.substr(0, end)));
      path.remove_prefix(end);
    }
    return at;
  }

  const json::Value* Member(const json::Value& in, const std::string& token) {
    if (!in.is_array()) return Find(in, token);
    size_t index = 0;
    if (token.empty() || token.size() > 6) return nullptr;
    for (const char c : token) {
      if (c < '0' || c > '9') return nullptr;
      index = index * 10 + static_cast<size_t>(c - '0');
    }
    return index < in.AsArray().size() ? &in.AsArray()[index] : nullptr;
  }

  // None: the schema is being read already, so that it adds nothing to itself.
  std::optional<TypeSet> Read(const json::Value& schema, int depth) {
    if (depth > kMaxSchemaDepth || !schema.is_object()) return TypeSet();
    const auto [known, is_new] = read_.try_emplace(&schema);
    if (!is_new) return known->second;
    TypeSet set = ReadOwn(schema);
    if (const json::Value* target = Resolve(schema)) {
      if (const auto said = Read(*target, depth + 1)) Intersect(set, *said);
    }
    for (const json::Value& one : List(schema, "allOf")) {
      if (const auto said = Read(one, depth + 1)) Intersect(set, *said);
    }
    for (const std::string_view key : {"anyOf", "oneOf"}) {
      const json::Array& choices = List(schema, key);
      TypeSet any{{}, choices.empty()};
      for (const json::Value& one : choices) {
        if (const auto said = Read(one, depth + 1)) Unite(any, *said);
      }
      Intersect(set, any);
    }
    if (const json::Value* null = Find(schema, "nullable");
        null != nullptr && null->is_bool() && null->AsBool()) {
      set.Add(ValueType::kNull);
    }
    if (set.SaysNothing()) {
      if (Find(schema, "properties") != nullptr) set.Add(ValueType::kObject);
      if (Find(schema, "items") != nullptr) set.Add(ValueType::kArray);
    }
    known->second = set;
    return set;
  }

  // Without what it refers to and is composed of.
  TypeSet ReadOwn(const json::Value& schema) {
    TypeSet set;
    if (const json::Value* type = Find(schema, "type"); type != nullptr) {
      TypeSet named{{}, false};
      const auto add = [&named](const json::Value& name) {
        const auto one = name.is_string() ? TypeNamed(name.AsString()) : std::nullopt;
        if (one) named.Add(*one);
      };
      if (type->is_array()) {
        std::for_each(type->AsArray().begin(), type->AsArray().end(), add);
      } else {
        add(*type);
      }
      if (!named.types.empty()) set = std::move(named);
    }
    TypeSet listed{{}, false};
    for (const json::Value& value : List(schema, "enum")) {
      if (const auto type = TypeNamed(value.KindName())) listed.Add(*type);
    }
    if (const json::Value* value = Find(schema, "const"); value != nullptr) {
      if (const auto type = TypeNamed(value->KindName())) listed.Add(*type);
    }
    if (!listed.types.empty()) Intersect(set, listed);
    return set;
  }

  // A list of schemas or values; empty where there is none.
  const json::Array& List(const json::Value& schema, std::string_view key) {
    static const json::Array& none = *new json::Array();
    const json::Value* list = Find(schema, key);
    if (list == nullptr || !list->is_array() || !Spend(list->AsArray().size())) return none;
    return list->AsArray();
  }

  void ReadProperties(const json::Value& schema, int depth) {
    if (depth > kMaxSchemaDepth || !schema.is_object() || !visited_.insert(&schema).second) {
      return;
    }
    if (const json::Value* properties = Find(schema, "properties");
        properties != nullptr && properties->is_object()) {
      for (const json::Member& member : properties->AsObject()) {
        if (!Spend(1)) return;
        const TypeSet set = Read(member.value, depth + 1).value_or(TypeSet());
        const auto [place, is_new] = places_.try_emplace(member.key, properties_.size());
        if (is_new) {
          properties_.emplace_back(member.key, set);
        } else {
          Unite(properties_[place->second].second, set);
        }
      }
    }
    if (const json::Value* target = Resolve(schema)) ReadProperties(*target, depth + 1);
    for (const std::string_view key : {"allOf", "anyOf", "oneOf"}) {
      for (const json::Value& one : List(schema, key)) ReadProperties(one, depth + 1);
    }
  }

  const json::Value& root_;
  size_t work_ = 0;
  std::map<const json::Object*, std::unordered_map<std::string_view, const json::Value*>> indexes_;
  std::map<const json::Value*, std::optional<TypeSet>> read_;  // by the place of the schema
  std::set<const json::Value*> visited_;                       // whose properties were read
  std::map<std::string, size_t, std::less<>> places_;
  std::vector<std::pair<std::string, TypeSet>> properties_;
};

}  // namespace

ParameterTypes TypesOfParameters(const json::Value& parameters) {
  return SchemaReader(parameters).Parameters();
}

}  // namespace mach::chat
