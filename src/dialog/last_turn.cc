#include "dialog/last_turn.h"

#include "json/value.h"

namespace mach::dialog {
namespace {

constexpr std::string_view kMark = "CONTINUE_FINAL_MESSAGE_TAG";  // transformers' own
constexpr std::string_view kSpace = " \t\r\n";

bool IsBlankText(const json::Value* text) {
  return text == nullptr || !text->is_string() ||
         text->AsString().find_first_not_of(kSpace) == std::string::npos;
}

bool CanGoOn(const json::Array& messages) {
  return !messages.empty() && messages.back().Find("role")->AsString() == "assistant" &&
         messages.back().Find("tool_calls") == nullptr;
}

}  // namespace

FieldStatus SettleLastTurn(ChatInput& chat) {
  const bool can = CanGoOn(chat.messages);
  if (chat.asked_continuation.value_or(false)) {
    if (!can) {
      return WrongValue("continue_final_message",
                        "needs a last message of the assistant, without tool calls; leave it out, "
                        "or end the conversation with one");
    }
    if (chat.asked_generation_prompt.value_or(false)) {
      return WrongValue("continue_final_message",
                        "contradicts 'add_generation_prompt', which opens another turn; send one "
                        "of them");
    }
  }
  chat.add_generation_prompt = chat.asked_generation_prompt.value_or(true);
  chat.continue_final = can && chat.asked_continuation.value_or(!chat.asked_generation_prompt);
  if (!chat.continue_final) return Success{};
  const json::Value& last = chat.messages.back();
  if (chat.messages.size() > 1 && IsBlankText(last.Find("content")) &&
      IsBlankText(last.Find("reasoning_content"))) {
    chat.messages.pop_back();
    chat.continue_final = false;
    chat.add_generation_prompt = true;
    return Success{};
  }
  chat.add_generation_prompt = false;
  return Success{};
}

json::Array MarkLastTurn(const json::Array& messages) {
  json::Array marked = messages;
  json::Object& last = marked.back().AsObject();
  // The space tells whether the template trims the content.
  last.Set("content", last.Find("content")->AsString() + std::string(kMark) + " ");
  return marked;
}

size_t EndOfMarkedTurn(std::string_view rendered) {
  const size_t mark = rendered.rfind(kMark);
  if (mark == std::string_view::npos) return mark;
  if (rendered.substr(mark + kMark.size()).starts_with(' ')) return mark;
  const size_t last = rendered.substr(0, mark).find_last_not_of(kSpace);
  return last == std::string_view::npos ? 0 : last + 1;
}

}  // namespace mach::dialog
