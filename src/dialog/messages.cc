#include "dialog/messages.h"

#include <optional>
#include <string>

#include "base/printable.h"
#include "dialog/field_error.h"
#include "dialog/message_content.h"
#include "json/parse.h"

namespace mach::dialog {
namespace {

// JSON text with its open strings, arrays and objects closed.
std::string Completed(std::string text) {
  std::string closers;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      closers += '}';
    } else if (c == '[') {
      closers += ']';
    } else if ((c == '}' || c == ']') && !closers.empty()) {
      closers.pop_back();
    }
  }
  if (in_string) text += '"';
  text.append(closers.rbegin(), closers.rend());
  return text;
}

std::optional<json::Value> ParsedObject(const std::string& text) {
  auto value = json::Parse(text);
  if (!value || !value->is_object()) return std::nullopt;
  return *std::move(value);
}

// {"name","arguments"} of a call, in place of `call` or of its "function".
FieldStatus ReadFunction(const json::Value& function, const std::string& where, json::Object& out) {
  if (!function.is_object()) return WrongType(where, function, "an object");
  const json::Value* name = function.Find("name");
  if (name == nullptr || !name->is_string()) {
    return Missing(where + ".name",
                   "'" + where + ".name' is missing, expected the function's name");
  }
  out.Set("name", *name);
  const json::Value* arguments = function.Find("arguments");
  if (arguments == nullptr || arguments->is_null()) {
    out.Set("arguments", json::Object());
  } else if (arguments->is_object()) {
    out.Set("arguments", *arguments);
  } else if (arguments->is_string()) {
    out.Set("arguments", RepairArguments(arguments->AsString()));
  } else {
    return WrongType(where + ".arguments", *arguments, "a string of JSON");
  }
  return Success{};
}

FieldStatus ReadToolCalls(const json::Value& message, const std::string& where, json::Array& out) {
  if (const json::Value* legacy = message.Find("function_call");
      legacy != nullptr && !legacy->is_null()) {
    json::Object function;
    MACH_RETURN_IF_ERROR(ReadFunction(*legacy, where + ".function_call", function));
    out.push_back(json::Object{{"type", "function"}, {"function", std::move(function)}});
  }
  const json::Value* calls = message.Find("tool_calls");
  if (calls == nullptr || calls->is_null()) return Success{};
  if (!calls->is_array()) return WrongType(where + ".tool_calls", *calls, "an array");
  for (size_t i = 0; i < calls->AsArray().size(); ++i) {
    const json::Value& call = calls->AsArray()[i];
    const std::string place = where + ".tool_calls[" + std::to_string(i) + "]";
    if (!call.is_object()) return WrongType(place, call, "an object");
    const json::Value* nested = call.Find("function");
    json::Object function;
    MACH_RETURN_IF_ERROR(ReadFunction(nested == nullptr ? call : *nested,
                                      nested == nullptr ? place : place + ".function", function));
    json::Object made;
    if (const json::Value* id = call.Find("id"); id != nullptr && id->is_string()) {
      made.Set("id", *id);
    }
    made.Set("type", "function");
    made.Set("function", std::move(function));
    out.push_back(std::move(made));
  }
  return Success{};
}

// Whether a message of the assistant without "content" is one.
bool SaysSomething(const json::Value& message) {
  for (const std::string_view key : {"tool_calls", "function_call", "refusal", "reasoning_content",
                                     "reasoning", "reasoning_details"}) {
    if (const json::Value* value = message.Find(key); value != nullptr && !value->is_null()) {
      return true;
    }
  }
  return false;
}

FieldStatus ReadMessage(const json::Value& message, const std::string& where, json::Object& out) {
  if (!message.is_object()) return WrongType(where, message, "an object");
  const json::Value* role = message.Find("role");
  if (role == nullptr || role->is_null()) {
    return Missing(where + ".role", "'" + where + ".role' is missing");
  }
  if (!role->is_string()) return WrongType(where + ".role", *role, "a string");
  std::string name = role->AsString();
  if (name == "developer") name = "system";
  if (name == "function") name = "tool";
  if (name != "system" && name != "user" && name != "assistant" && name != "tool") {
    return WrongValue(where + ".role", "is '" + PrintableAscii(name).substr(0, 40) +
                                           "', expected system, developer, user, assistant or "
                                           "tool");
  }
  out.Set("role", name);

  std::string content;
  std::string thoughts;
  const json::Value* given = message.Find("content");
  if (given != nullptr && !given->is_null()) {
    MACH_RETURN_IF_ERROR(ReadMessageContent(*given, where + ".content", content,
                                            name == "assistant" ? &thoughts : nullptr));
  } else if (name != "assistant" || (given == nullptr && !SaysSomething(message))) {
    return Missing(where + ".content",
                   "'" + where + ".content' is missing; a message of the role '" +
                       role->AsString() + "' needs a string or an array of parts" +
                       (name == "assistant" ? ", or 'tool_calls'" : ""));
  }
  if (name == "assistant" && content.empty()) {
    if (const json::Value* refusal = message.Find("refusal");
        refusal != nullptr && refusal->is_string()) {
      content = refusal->AsString();
    }
  }
  out.Set("content", std::move(content));
  for (const std::string_view key : {"name", "tool_call_id"}) {
    const json::Value* value = message.Find(key);
    if (value != nullptr && value->is_string()) out.Set(key, *value);
  }
  if (name != "assistant") return Success{};

  std::string reasoning;
  MACH_RETURN_IF_ERROR(ReadReasoning(message, where, reasoning));
  if (reasoning.empty()) reasoning = std::move(thoughts);
  if (!reasoning.empty()) out.Set("reasoning_content", std::move(reasoning));
  json::Array calls;
  MACH_RETURN_IF_ERROR(ReadToolCalls(message, where, calls));
  if (!calls.empty()) out.Set("tool_calls", std::move(calls));
  return Success{};
}

}  // namespace

json::Value RepairArguments(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return json::Object();
  if (auto value = ParsedObject(text)) return *std::move(value);
  if (auto value = ParsedObject(Completed(text))) return *std::move(value);
  return json::Object{{"raw_arguments", text}};
}

std::string_view WithoutNonce(std::string_view system) {
  // Claude Code (2.1.36 and later): "x-anthropic-billing-header: ...; cch=NONCE;" in a block of its
  // own at the very front. It is for Anthropic's accounting, and another one in every request.
  constexpr std::string_view kHeader = "x-anthropic-billing-header:";
  if (!system.starts_with(kHeader)) return system;
  const size_t end = system.find('\n');
  return end == std::string_view::npos ? std::string_view() : system.substr(end + 1);
}

Result<json::Array, FieldError> NormalizeMessages(const json::Value& messages,
                                                  const MessageLimits& limits,
                                                  bool* nonce_stripped) {
  if (!messages.is_array()) return WrongType("messages", messages, "an array");
  const json::Array& given = messages.AsArray();
  if (given.empty()) return WrongValue("messages", "is empty, expected at least one message");
  if (given.size() > limits.messages) {
    return WrongValue("messages", "has " + std::to_string(given.size()) +
                                      " entries, the limit is " + std::to_string(limits.messages));
  }
  json::Array out;
  std::string system;
  bool has_system = false;
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string where = "messages[" + std::to_string(i) + "]";
    json::Object message;
    MACH_RETURN_IF_ERROR(ReadMessage(given[i], where, message));
    const std::string& role = message.Find("role")->AsString();
    if (role == "system") {
      if (has_system) system += "\n\n";
      has_system = true;
      const std::string& text = message.Find("content")->AsString();
      const std::string_view constant = WithoutNonce(text);
      if (nonce_stripped != nullptr && constant.size() != text.size()) *nonce_stripped = true;
      system += constant;
      continue;
    }
    if (role == "assistant" && i + 1 == given.size() && !out.empty() &&
        out.back().Find("role")->AsString() == "assistant") {
      return WrongValue(where,
                        "follows another assistant message at the end of the conversation; "
                        "send at most one");
    }
    out.push_back(std::move(message));
  }
  if (has_system) {
    out.insert(out.begin(), json::Object{{"role", "system"}, {"content", std::move(system)}});
  }
  return out;
}

Result<json::Array, FieldError> NormalizeTools(const json::Value& tools,
                                               const MessageLimits& limits) {
  if (!tools.is_array()) return WrongType("tools", tools, "an array");
  if (tools.AsArray().size() > limits.tools) {
    return WrongValue("tools", "has " + std::to_string(tools.AsArray().size()) +
                                   " entries, the limit is " + std::to_string(limits.tools));
  }
  json::Array out;
  for (size_t i = 0; i < tools.AsArray().size(); ++i) {
    const json::Value& tool = tools.AsArray()[i];
    const std::string where = "tools[" + std::to_string(i) + "]";
    if (!tool.is_object()) return WrongType(where, tool, "an object");
    if (const json::Value* type = tool.Find("type");
        type != nullptr && !type->is_null() &&
        !(type->is_string() && type->AsString() == "function")) {
      return WrongValue(where + ".type", "is not \"function\", the only type of tool here");
    }
    json::Object made;
    if (const json::Value* function = tool.Find("function")) {
      if (!function->is_object()) return WrongType(where + ".function", *function, "an object");
      made = tool.AsObject();
      made.Set("type", "function");
    } else {
      json::Object inner = tool.AsObject();
      inner.Erase("type");
      made = json::Object{{"type", "function"}, {"function", std::move(inner)}};
    }
    const json::Value& function = *made.Find("function");
    const json::Value* name = function.Find("name");
    if (name == nullptr || !name->is_string() || name->AsString().empty()) {
      return Missing(where + ".function.name",
                     "'" + where + ".function.name' is missing, expected the function's name");
    }
    if (const json::Value* parameters = function.Find("parameters");
        parameters != nullptr && !parameters->is_null() && !parameters->is_object()) {
      return WrongType(where + ".function.parameters", *parameters, "a JSON schema");
    }
    out.push_back(std::move(made));
  }
  return out;
}

}  // namespace mach::dialog
