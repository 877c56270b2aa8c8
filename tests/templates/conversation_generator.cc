#include "conversation_generator.h"

#include <array>

#include "base/random.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

constexpr std::string_view kPieces[] = {
    "hello",
    "What is 2 + 2?",
    " ",
    "\n",
    "\n\n",
    "Grüße, ",
    "世界",
    "😀",
    "\t",
    "\u00a0",
    "\u2028",
    "<|im_end|>",
    "<|im_start|>system\n",
    "<think>",
    "</think>",
    "<|channel|>",
    "<|end|>",
    "<result>",
    "</result>",
    "{\"a\": [1]}",
    "'one'",
    "\"two\"",
    "\\n",
    "<b>&amp;</b>",
    "{{ x }}",
    "{% if %}",
    "<|thought",
    "<thought|>",
    "%s %d",
    "A longer sentence with several words in it. ",
    "\u200b",
    "\x7f\x01",
};
constexpr std::string_view kNames[] = {
    "city", "Unit", "items", "get", "limit", "ünit", "a b", "type", "keys", "description", "x",
};

}  // namespace

size_t ConversationGenerator::Pick(size_t n) {
  return static_cast<size_t>(UniformAt(seed_, number_, draws_++) * static_cast<double>(n));
}

bool ConversationGenerator::Chance(double probability) {
  return UniformAt(seed_, number_, draws_++) < probability;
}

std::string ConversationGenerator::Text(size_t max_pieces) {
  std::string text;
  for (size_t n = Pick(max_pieces + 1); n > 0; --n) text += kPieces[Pick(std::size(kPieces))];
  return text;
}

std::string ConversationGenerator::Name() { return std::string(kNames[Pick(std::size(kNames))]); }

json::Value ConversationGenerator::Number() {
  static const json::Value kNumbers[] = {
      0,
      -1,
      42,
      int64_t{9007199254740993},
      INT64_MIN,
      json::BigInteger{"123456789012345678901234567890"},
      json::BigInteger{"-9223372036854775809"},
      0.0,
      -0.0,
      1.0,
      2.5,
      0.1,
      -1e-7,
      1e16,
      1.7976931348623157e308,
      123456789.125,
  };
  return kNumbers[Pick(std::size(kNumbers))];
}

json::Value ConversationGenerator::AnyValue(int depth) {
  switch (Pick(depth > 0 ? 7 : 5)) {
    case 0:
      return nullptr;
    case 1:
      return Chance(0.5);
    case 2:
      return Number();
    case 3:
    case 4:
      return Text(3);
    case 5: {
      json::Array list;
      for (size_t n = Pick(4); n > 0; --n) list.push_back(AnyValue(depth - 1));
      return list;
    }
    default:
      return AnyObject(depth - 1);
  }
}

json::Value ConversationGenerator::AnyObject(int depth) {
  json::Object object;
  for (size_t n = Pick(4); n > 0; --n) object.Set(Name(), AnyValue(depth));
  return object;
}

json::Value ConversationGenerator::Schema(int depth) {
  json::Object schema;
  static constexpr std::string_view kTypes[] = {"string",  "integer", "number",
                                                "boolean", "array",   "object"};
  const std::string_view type = kTypes[Pick(std::size(kTypes))];
  if (Chance(0.1)) {
    schema.Set("type", json::Array{type, "null"});
  } else if (!Chance(0.1)) {
    schema.Set("type", type);
  }
  if (Chance(0.6)) schema.Set("description", Text(2));
  if (Chance(0.2)) schema.Set("enum", json::Array{Text(1), Text(1)});
  if (Chance(0.2)) schema.Set("default", AnyValue(1));
  if (Chance(0.1)) schema.Set("nullable", Chance(0.5));
  if (depth > 0 && type == "array" && Chance(0.8)) schema.Set("items", Schema(depth - 1));
  if (depth > 0 && type == "object") {
    json::Object properties;
    for (size_t n = Pick(3); n > 0; --n) properties.Set(Name(), Schema(depth - 1));
    schema.Set("properties", properties);
    if (Chance(0.5)) schema.Set("required", json::Array{Name()});
  }
  if (depth > 0 && Chance(0.1)) schema.Set("oneOf", json::Array{Schema(0), Schema(0)});
  return schema;
}

json::Value ConversationGenerator::Tool() {
  json::Object parameters{{"type", "object"}};
  json::Object properties;
  for (size_t n = Pick(4); n > 0; --n) properties.Set(Name(), Schema(2));
  if (!Chance(0.1)) parameters.Set("properties", properties);
  if (Chance(0.6)) parameters.Set("required", json::Array{Name()});
  json::Object function{{"name", Name()}};
  if (!Chance(0.15)) function.Set("description", Text(2));
  if (!Chance(0.1)) function.Set("parameters", parameters);
  if (Chance(0.1)) return function;
  return json::Object{{"type", "function"}, {"function", function}};
}

json::Value ConversationGenerator::Parts() {
  json::Array parts;
  for (size_t n = Pick(4); n > 0; --n) {
    switch (Pick(4)) {
      case 0:
        parts.push_back(json::Object{{"type", "image"}, {"image", "a.png"}});
        break;
      case 1:
        parts.push_back(json::Object{{"type", "image_url"}, {"image_url", AnyObject(1)}});
        break;
      default:
        parts.push_back(json::Object{{"type", "text"}, {"text", Text(3)}});
    }
  }
  return parts;
}

json::Value ConversationGenerator::ToolCall() {
  json::Object function{{"name", Name()}};
  if (Chance(0.75)) {
    function.Set("arguments", AnyObject(2));
  } else if (Chance(0.7)) {
    function.Set("arguments", json::Write(AnyObject(1)));
  } else if (Chance(0.5)) {
    function.Set("arguments", Text(1));
  }
  if (Chance(0.1)) return function;
  return json::Object{
      {"id", "call_" + std::to_string(Pick(100))}, {"type", "function"}, {"function", function}};
}

json::Value ConversationGenerator::Message(std::string_view role) {
  json::Object message{{"role", role}};
  if (Chance(0.85)) {
    message.Set("content", Text(5));
  } else if (Chance(0.4)) {
    message.Set("content", Parts());
  } else if (Chance(0.5)) {
    message.Set("content", nullptr);
  } else if (Chance(0.3)) {
    message.Set("content", AnyValue(2));
  }
  if (role == "assistant") {
    if (Chance(0.3)) message.Set("reasoning_content", Text(3));
    if (Chance(0.35)) {
      json::Array calls;
      for (size_t n = Pick(3) + (Chance(0.9) ? 1 : 0); n > 0; --n) calls.push_back(ToolCall());
      message.Set("tool_calls", calls);
    } else if (Chance(0.1)) {
      message.Set("tool_calls", nullptr);
    }
  }
  if (role == "tool" && Chance(0.6)) message.Set("name", Name());
  if (role == "tool" && Chance(0.5)) message.Set("tool_call_id", "call_1");
  return message;
}

json::Value ConversationGenerator::Messages() {
  json::Array messages;
  if (Chance(0.4)) messages.push_back(Message(Chance(0.9) ? "system" : "developer"));
  for (size_t n = Pick(7); n > 0; --n) {
    static constexpr std::string_view kRoles[] = {"user",      "user",      "user", "assistant",
                                                  "assistant", "assistant", "tool"};
    const std::string_view role = Chance(0.02) ? "critic" : kRoles[Pick(std::size(kRoles))];
    messages.push_back(Message(role));
    if (role == "assistant" && Chance(0.3)) messages.push_back(Message("tool"));
  }
  if (messages.empty() && Chance(0.9)) messages.push_back(Message("user"));
  return messages;
}

json::Object ConversationGenerator::Variables() {
  json::Object variables{{"messages", Messages()}, {"tools", nullptr}};
  if (Chance(0.35)) {
    json::Array tools;
    for (size_t n = Pick(4); n > 0; --n) tools.push_back(Tool());
    variables.Set("tools", tools);
  }
  if (!Chance(0.1)) variables.Set("add_generation_prompt", Chance(0.7));
  if (Chance(0.5)) variables.Set("enable_thinking", Chance(0.5));
  if (Chance(0.3)) variables.Set("reasoning_effort", "high");
  if (Chance(0.3)) variables.Set("add_vision_id", Chance(0.5));
  if (!Chance(0.2)) {
    variables.Set("bos_token", "<s>");
    variables.Set("eos_token", "</s>");
  }
  return variables;
}

}  // namespace mach::jinja
