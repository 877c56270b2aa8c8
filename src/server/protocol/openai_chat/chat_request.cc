#include "server/protocol/openai_chat/chat_request.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/printable.h"
#include "dialog/last_turn.h"
#include "dialog/messages.h"
#include "json/value.h"
#include "server/protocol/generation_fields.h"

namespace mach::server {
namespace {

using json::Value;

FieldError ReadMessages(const Value& value, const Limits& limits, GenerationRequest& request) {
  auto messages = dialog::NormalizeMessages(value, limits.messages, &request.chat.nonce_stripped);
  if (!messages) return FromFieldError(std::move(messages).error());
  request.chat.messages = *std::move(messages);
  return std::nullopt;
}

FieldError ReadTools(const Value& value, const Limits& limits, GenerationRequest& request) {
  auto tools = dialog::NormalizeTools(value, limits.messages);
  if (!tools) return FromFieldError(std::move(tools).error());
  request.chat.tools = *std::move(tools);
  request.parse_tools = !request.chat.tools.empty();
  return std::nullopt;
}

const std::string* ToolName(const Value& tool) {
  const Value* function = tool.Find("function");
  const Value* name = function == nullptr ? tool.Find("name") : function->Find("name");
  return name != nullptr && name->is_string() ? &name->AsString() : nullptr;
}

// The answer must call the function of that name, or, with an empty one, any.
FieldError Force(std::string_view name, GenerationRequest& request) {
  if (request.chat.tools.empty()) {
    return WrongValue("tool_choice", "asks for a call, but there are no 'tools'");
  }
  request.force_call = true;
  request.forced_function = name;
  return std::nullopt;
}

// {"type":"allowed_tools","allowed_tools":{"mode","tools"}}, or with mode and tools at the top.
FieldError ReadAllowedTools(const Value& value, GenerationRequest& request) {
  const Value* inner = value.Find("allowed_tools");
  if (inner == nullptr) inner = &value;
  const Value* allowed = inner->Find("tools");
  if (allowed == nullptr || !allowed->is_array()) {
    return WrongType("tool_choice.allowed_tools.tools", allowed == nullptr ? Value() : *allowed,
                     "an array");
  }
  std::unordered_set<std::string_view> names;
  for (const Value& tool : allowed->AsArray()) {
    const std::string* name = ToolName(tool);
    if (name != nullptr) names.insert(*name);
  }
  std::erase_if(request.chat.tools,
                [&](const Value& tool) { return !names.contains(*ToolName(tool)); });
  request.parse_tools = !request.chat.tools.empty();
  const Value* mode = inner->Find("mode");
  const bool required = mode != nullptr && mode->is_string() && mode->AsString() == "required";
  return required ? Force("", request) : std::nullopt;
}

bool IsToolChoiceWord(std::string_view word) {
  return word == "auto" || word == "none" || word == "required" || word == "any";
}

FieldError ReadToolChoiceWord(const std::string& choice, GenerationRequest& request) {
  if (choice == "auto") return std::nullopt;
  if (choice == "none") {
    request.parse_tools = false;
    request.chat.tools.clear();
    return std::nullopt;
  }
  if (IsToolChoiceWord(choice)) return Force("", request);
  return WrongValue("tool_choice", "is '" + PrintableAscii(choice).substr(0, 40) +
                                       "', expected \"none\", \"auto\", \"required\" or a "
                                       "function");
}

FieldError ReadToolChoice(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.is_string()) return ReadToolChoiceWord(value.AsString(), request);
  if (!value.is_object()) return WrongType("tool_choice", value, "a string or an object");
  const std::string* name = ToolName(value);
  if (const Value* type = value.Find("type"); type != nullptr && type->is_string()) {
    if (type->AsString() == "allowed_tools") return ReadAllowedTools(value, request);
    // {"type":"auto"}, as Anthropic's clients have it.
    if (name == nullptr && IsToolChoiceWord(type->AsString())) {
      return ReadToolChoiceWord(type->AsString(), request);
    }
  }
  if (name == nullptr) {
    return BadRequest("missing_required_parameter", "tool_choice.function.name",
                      "'tool_choice' names no function");
  }
  const bool known = std::any_of(request.chat.tools.begin(), request.chat.tools.end(),
                                 [&](const Value& tool) { return *ToolName(tool) == *name; });
  if (!known) {
    return BadRequest("unknown_tool", "tool_choice",
                      "'tool_choice' names the function '" + PrintableAscii(*name).substr(0, 80) +
                          "', which is not among the tools");
  }
  return Force(*name, request);
}

FieldError ReadResponseFormat(const Value& value, const Limits&, GenerationRequest&) {
  const Value* type = value.Find("type");
  if (type == nullptr || !type->is_string()) {
    return BadRequest("missing_required_parameter", "response_format.type",
                      "'response_format.type' is missing, expected \"text\"");
  }
  if (type->AsString() == "text") return std::nullopt;
  if (type->AsString() == "json_object" || type->AsString() == "json_schema") {
    return BadRequest("unsupported_parameter", "response_format",
                      "'response_format' of type \"" + type->AsString() +
                          "\" is not supported; use \"text\" and ask for JSON in the prompt");
  }
  return WrongValue(
      "response_format.type",
      "is '" + PrintableAscii(type->AsString()).substr(0, 40) + "', expected \"text\"");
}

FieldError ReadEffort(const Value& value, const Limits&, GenerationRequest& request) {
  const std::string& effort = value.AsString();
  for (const std::string_view known :
       {"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"}) {
    if (effort != known) continue;
    request.chat.kwargs.Set("enable_thinking", effort != "none");
    if (effort != "none") request.chat.kwargs.Set("reasoning_effort", effort);
    return std::nullopt;
  }
  return WrongValue("reasoning_effort",
                    "is '" + PrintableAscii(effort).substr(0, 40) +
                        "', expected none, minimal, low, medium, high, xhigh, max or ultra");
}

FieldError ReadTemplateKwargs(const Value& value, const Limits&, GenerationRequest& request) {
  for (const json::Member& member : value.AsObject()) {
    for (const std::string_view ours :
         {"messages", "tools", "add_generation_prompt", "continue_final_message"}) {
      if (member.key == ours) {
        return WrongValue("chat_template_kwargs." + member.key,
                          "would replace what the request itself says");
      }
    }
    request.chat.kwargs.Set(member.key, member.value);
  }
  return std::nullopt;
}

FieldError ReadReasoningFormat(const Value& value, const Limits&, GenerationRequest& request) {
  const std::string& format = value.AsString();
  if (format == "auto" || format == "deepseek") return std::nullopt;
  if (format == "none") {
    request.inline_reasoning = true;
    return std::nullopt;
  }
  return WrongValue("reasoning_format", "is '" + PrintableAscii(format).substr(0, 40) +
                                            "', expected auto, deepseek or none");
}

// -1: without a limit; 0: no thinking at all.
FieldError ReadThinkingBudget(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.AsInt() == 0) request.chat.kwargs.Set("enable_thinking", false);
  if (value.AsInt() <= 0) return std::nullopt;
  return BadRequest("unsupported_parameter", "thinking_token_budget",
                    "a budget for thinking is not supported; 0 turns thinking off, -1 leaves it "
                    "without a limit");
}

FieldError ReadModalities(const Value& value, const Limits&, GenerationRequest&) {
  for (const Value& modality : value.AsArray()) {
    if (modality.is_string() && modality.AsString() == "text") continue;
    return WrongValue("modalities", "asks for more than \"text\", all that this model writes");
  }
  return std::nullopt;
}

using R = GenerationRequest;
using enum Handling;

constexpr Field kChatFields[] = {
    {.name = "messages",
     .type = FieldType::kArray,
     .help = "an array of messages",
     .read = ReadMessages,
     .required = true},
    {"logprobs", FieldType::kBoolean, kHonoured, "report log probabilities",
     ReadFlag<&R::logprobs>},
    {"top_logprobs", FieldType::kInteger, kHonoured, "alternatives with each token",
     [](const Value& v, const Limits&, R& r) -> FieldError {
       r.top_logprobs = static_cast<size_t>(v.AsInt());
       if (r.logprobs) return std::nullopt;
       return WrongValue("top_logprobs", "needs \"logprobs\": true");
     },
     0, 20},
    {"tools", FieldType::kArray, kHonoured, "functions that the model may call", ReadTools},
    {"tool_choice", FieldType::kAny, kHonoured, "none, auto, or some of the tools", ReadToolChoice},
    {"parallel_tool_calls", FieldType::kBoolean, kHonoured, "false: at most one call",
     ReadFlag<&R::parallel_tool_calls>},
    {"response_format", FieldType::kObject, kHonoured, "{\"type\":\"text\"}", ReadResponseFormat},
    {"chat_template_kwargs", FieldType::kObject, kHonoured, "variables of the chat template",
     ReadTemplateKwargs},
    {"reasoning_effort", FieldType::kString, kHonoured, "none to max", ReadEffort},
    {"reasoning_format", FieldType::kString, kHonoured, "auto, deepseek or none",
     ReadReasoningFormat},
    {"include_reasoning", FieldType::kBoolean, kHonoured, "false: leave the reasoning out",
     ReadFlag<&R::include_reasoning>},
    {"thinking_token_budget", FieldType::kInteger, kHonoured, "0 or -1", ReadThinkingBudget},
    {"reasoning_budget", FieldType::kInteger, kHonoured, "0 or -1", ReadThinkingBudget},
    {"thinking_budget_tokens", FieldType::kInteger, kHonoured, "0 or -1", ReadThinkingBudget},
    {"add_generation_prompt", FieldType::kBoolean, kHonoured, "open the assistant's turn",
     [](const Value& v, const Limits&, R& r) -> FieldError {
       r.chat.asked_generation_prompt = v.AsBool();
       return std::nullopt;
     }},
    {"continue_final_message", FieldType::kBoolean, kHonoured,
     "go on with the last message, the assistant's; default: where the conversation ends with one",
     [](const Value& v, const Limits&, R& r) -> FieldError {
       r.chat.asked_continuation = v.AsBool();
       return std::nullopt;
     }},
    {"modalities", FieldType::kArray, kHonoured, "[\"text\"]", ReadModalities},
    {"echo", FieldType::kAny, kRefused, "the prompt is yours already"},
    {"functions", FieldType::kAny, kRefused, "use 'tools'"},
    {"function_call", FieldType::kAny, kRefused, "use 'tool_choice'"},
    {"store", FieldType::kAny, kAccepted, "nothing is stored"},
    {"verbosity", FieldType::kAny, kAccepted, "a hint"},
    {"prediction", FieldType::kAny, kAccepted, "a hint"},
    {"audio", FieldType::kAny, kAccepted, "for another modality"},
    {"web_search_options", FieldType::kAny, kAccepted, "for another service"},
    {"moderation", FieldType::kAny, kAccepted, "for another service"},
};

}  // namespace

std::span<const Field> ChatFields() {
  static const std::vector<Field> fields = WithSharedFields(kChatFields);
  return fields;
}

std::variant<GenerationRequest, ApiError> ParseChatRequest(std::string_view body,
                                                           const Limits& limits) {
  auto object = ParseBody(body, limits, ChatFields());
  if (auto* error = std::get_if<ApiError>(&object)) return std::move(*error);
  GenerationRequest request;
  if (auto error = ReadFields(std::get<json::Object>(object), ChatFields(), limits, request,
                              request.ignored)) {
    return *std::move(error);
  }
  if (auto settled = dialog::SettleLastTurn(request.chat); !settled) {
    return FromFieldError(std::move(settled).error());
  }
  // A forced call begins at once: thinking would come before it.
  if (request.force_call) request.chat.kwargs.Set("enable_thinking", false);
  return request;
}

}  // namespace mach::server
