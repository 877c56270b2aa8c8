#include "chat/tool_values.h"

#include <algorithm>
#include <optional>

#include "chat/space.h"
#include "json/parse.h"

namespace mach::chat {
namespace {

// Python's spelling of dicts and lists as JSON: quotes, True, False and None.
std::string FromPython(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\'' || c == '"') {
      out += '"';
      for (++i; i < text.size() && text[i] != c; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
          ++i;
          if (text[i] != '\'') out += '\\';
          out += text[i];
        } else {
          if (text[i] == '"') out += '\\';
          out += text[i];
        }
      }
      out += '"';
      continue;
    }
    bool replaced = false;
    for (const auto& [python, json] :
         {std::pair<std::string_view, std::string_view>{"True", "true"},
          {"False", "false"},
          {"None", "null"}}) {
      if (text.substr(i, python.size()) != python) continue;
      out += json;
      i += python.size() - 1;
      replaced = true;
      break;
    }
    if (!replaced) out += c;
  }
  return out;
}

std::optional<json::Value> ParseAs(std::string_view text, ValueType type) {
  const std::string_view trimmed = Trim(text);
  const auto parsed = [](std::string_view source) -> std::optional<json::Value> {
    auto value = json::Parse(source);
    if (!value) return std::nullopt;
    return *std::move(value);
  };
  switch (type) {
    case ValueType::kString:
      return json::Value(text);
    case ValueType::kInteger: {
      auto value = parsed(trimmed);
      if (!value) return std::nullopt;
      if (value->is_int() || value->is_big_integer()) return value;
      if (value->is_double() && value->AsDouble() >= -9e15 && value->AsDouble() <= 9e15 &&
          static_cast<double>(static_cast<int64_t>(value->AsDouble())) == value->AsDouble()) {
        return json::Value(static_cast<int64_t>(value->AsDouble()));
      }
      return std::nullopt;
    }
    case ValueType::kNumber: {
      auto value = parsed(trimmed);
      return value && value->is_number() ? value : std::nullopt;
    }
    case ValueType::kBoolean:
      if (trimmed == "true" || trimmed == "True") return json::Value(true);
      if (trimmed == "false" || trimmed == "False") return json::Value(false);
      return std::nullopt;
    case ValueType::kNull:
      if (trimmed == "null" || trimmed == "None") return json::Value();
      return std::nullopt;
    case ValueType::kObject:
    case ValueType::kArray: {
      const char open = type == ValueType::kObject ? '{' : '[';
      if (trimmed.empty() || trimmed.front() != open) return std::nullopt;
      auto value = parsed(trimmed);
      return value ? value : parsed(FromPython(trimmed));
    }
  }
  return std::nullopt;
}

}  // namespace

bool AllowsNull(const std::vector<ValueType>& types) {
  return std::find(types.begin(), types.end(), ValueType::kNull) != types.end();
}

json::Value ValueFromText(std::string_view text, const std::vector<ValueType>& types) {
  if (AllowsNull(types) && text.size() <= kMaxNullBytes && Trim(text) == "null") return {};
  for (const ValueType type : types) {
    if (auto value = ParseAs(text, type)) return *std::move(value);
  }
  return json::Value(text);
}

ToolSchemas::ToolSchemas(const json::Array& tools) {
  for (const json::Value& entry : tools) {
    const json::Value* function = entry.Find("function");
    if (function == nullptr) function = &entry;
    const json::Value* name = function->Find("name");
    if (name == nullptr || !name->is_string()) continue;
    Tool& tool = tools_[name->AsString()];
    const json::Value* parameters = function->Find("parameters");
    if (parameters == nullptr) continue;
    const bool lists = tool.empty();
    for (auto& [parameter, types] : TypesOfParameters(*parameters)) {
      tool.try_emplace(std::move(parameter), Parameter{std::move(types), lists});
    }
  }
}

bool ToolSchemas::Has(std::string_view name) const { return tools_.find(name) != tools_.end(); }

bool ToolSchemas::MayHave(std::string_view tool, std::string_view parameter) const {
  const auto known = tools_.find(tool);
  if (known == tools_.end() || known->second.empty()) return true;
  const auto found = known->second.find(parameter);
  return found != known->second.end() && found->second.listed;
}

std::vector<ValueType> ToolSchemas::Types(std::string_view tool, std::string_view parameter) const {
  const auto known = tools_.find(tool);
  if (known == tools_.end()) return {};
  const auto found = known->second.find(parameter);
  return found == known->second.end() ? std::vector<ValueType>() : found->second.types;
}

}  // namespace mach::chat
