#include "dialog/message_content.h"

#include "base/printable.h"

namespace mach::dialog {
namespace {

void AddLine(std::string_view line, bool& first, std::string& out) {
  if (!first) out += '\n';
  first = false;
  out += line;
}

// The text of a thinking part: "thinking" (Anthropic), "text", "reasoning", or lists of texts
// ("summary" and "content" of OpenAI's items).
void AddThought(const json::Value& part, bool& first, std::string& out) {
  for (const std::string_view key : {"thinking", "reasoning", "text", "content", "summary"}) {
    const json::Value* found = part.Find(key);
    if (found == nullptr) continue;
    if (found->is_string()) return AddLine(found->AsString(), first, out);
    if (!found->is_array()) continue;
    bool any = false;
    for (const json::Value& item : found->AsArray()) {
      const json::Value* text = item.is_string() ? &item : item.Find("text");
      if (text == nullptr || !text->is_string()) continue;
      AddLine(text->AsString(), first, out);
      any = true;
    }
    if (any) return;
  }
}

}  // namespace

FieldStatus ReadMessageContent(const json::Value& content, const std::string& param,
                               std::string& out, std::string* thoughts) {
  if (content.is_string()) {
    out = content.AsString();
    return Success{};
  }
  if (!content.is_array()) return WrongType(param, content, "a string or an array of parts");
  bool first = true;
  bool first_thought = true;
  for (size_t i = 0; i < content.AsArray().size(); ++i) {
    const json::Value& part = content.AsArray()[i];
    const std::string where = param + "[" + std::to_string(i) + "]";
    if (part.is_string()) {
      AddLine(part.AsString(), first, out);
      continue;
    }
    if (!part.is_object()) return WrongType(where, part, "an object");
    const json::Value* type = part.Find("type");
    if (type == nullptr || !type->is_string()) {
      return Missing(where + ".type", "'" + where + ".type' is missing, expected \"text\"");
    }
    const std::string& name = type->AsString();
    const json::Value* text = nullptr;
    if (name == "text" || name == "input_text" || name == "output_text") {
      text = part.Find("text");
    } else if (name == "refusal") {
      text = part.Find("refusal");
    } else if (thoughts != nullptr && (name == "thinking" || name == "reasoning")) {
      AddThought(part, first_thought, *thoughts);
      continue;
    } else if (thoughts != nullptr && name == "redacted_thinking") {
      continue;
    } else {
      return WrongValue(where, "is of type '" + PrintableAscii(name).substr(0, 40) +
                                   "'; this model reads text only, expected \"text\"");
    }
    if (text == nullptr || !text->is_string()) {
      return Missing(where + ".text", "'" + where + "' has no text");
    }
    AddLine(text->AsString(), first, out);
  }
  return Success{};
}

FieldStatus ReadReasoning(const json::Value& message, const std::string& where, std::string& out) {
  for (const std::string_view key : {"reasoning_content", "reasoning"}) {
    const json::Value* value = message.Find(key);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_string()) return WrongType(where + "." + std::string(key), *value, "a string");
    out = value->AsString();
    return Success{};
  }
  const json::Value* details = message.Find("reasoning_details");
  if (details == nullptr || !details->is_array()) return Success{};
  for (const json::Value& detail : details->AsArray()) {
    if (const json::Value* text = detail.Find("text"); text != nullptr && text->is_string()) {
      out += text->AsString();
    }
  }
  return Success{};
}

}  // namespace mach::dialog
