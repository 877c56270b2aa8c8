#include "server/chat_request.h"

#include <algorithm>
#include <charconv>

#include "server/messages.h"

namespace mach::server {
namespace {

using Error = std::optional<ApiError>;
using json::Value;

Error ReadMessages(const Value& value, const Limits& limits, GenerationRequest& request) {
  auto messages = NormalizeMessages(value, limits);
  if (auto* error = std::get_if<ApiError>(&messages)) return std::move(*error);
  request.chat.messages = std::get<json::Array>(std::move(messages));
  return std::nullopt;
}

Error ReadTools(const Value& value, const Limits& limits, GenerationRequest& request) {
  auto tools = NormalizeTools(value, limits);
  if (auto* error = std::get_if<ApiError>(&tools)) return std::move(*error);
  request.chat.tools = std::get<json::Array>(std::move(tools));
  request.parse_tools = !request.chat.tools.empty();
  return std::nullopt;
}

const std::string* ToolName(const Value& tool) {
  const Value* function = tool.Find("function");
  const Value* name = function == nullptr ? tool.Find("name") : function->Find("name");
  return name != nullptr && name->is_string() ? &name->AsString() : nullptr;
}

Error CannotForce(std::string_view what) {
  return BadRequest(
      "unsupported_parameter", "tool_choice",
      "'tool_choice' " + std::string(what) + " is not supported; use \"auto\" or \"none\"");
}

// {"type":"allowed_tools","allowed_tools":{"mode","tools"}}, or with mode and tools at the top.
Error ReadAllowedTools(const Value& value, GenerationRequest& request) {
  const Value* inner = value.Find("allowed_tools");
  if (inner == nullptr) inner = &value;
  if (const Value* mode = inner->Find("mode");
      mode != nullptr && mode->is_string() && mode->AsString() == "required") {
    return CannotForce("with mode \"required\"");
  }
  const Value* allowed = inner->Find("tools");
  if (allowed == nullptr || !allowed->is_array()) {
    return WrongType("tool_choice.allowed_tools.tools", allowed == nullptr ? Value() : *allowed,
                     "an array");
  }
  std::vector<std::string> names;
  for (const Value& tool : allowed->AsArray()) {
    const std::string* name = ToolName(tool);
    if (name != nullptr) names.push_back(*name);
  }
  std::erase_if(request.chat.tools, [&](const Value& tool) {
    return std::find(names.begin(), names.end(), *ToolName(tool)) == names.end();
  });
  request.parse_tools = !request.chat.tools.empty();
  return std::nullopt;
}

Error ReadToolChoice(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.is_string()) {
    const std::string& choice = value.AsString();
    if (choice == "auto") return std::nullopt;
    if (choice == "none") {
      request.parse_tools = false;
      request.chat.tools.clear();
      return std::nullopt;
    }
    if (choice == "required" || choice == "any") return CannotForce("\"" + choice + "\"");
    return WrongValue("tool_choice", "is '" + HeaderSafe(choice).substr(0, 40) +
                                         "', expected \"none\", \"auto\", \"required\" or a "
                                         "function");
  }
  if (!value.is_object()) return WrongType("tool_choice", value, "a string or an object");
  const Value* type = value.Find("type");
  if (type != nullptr && type->is_string() && type->AsString() == "allowed_tools") {
    return ReadAllowedTools(value, request);
  }
  const std::string* name = ToolName(value);
  if (name == nullptr) {
    return BadRequest("missing_required_parameter", "tool_choice.function.name",
                      "'tool_choice' names no function");
  }
  const bool known = std::any_of(request.chat.tools.begin(), request.chat.tools.end(),
                                 [&](const Value& tool) { return *ToolName(tool) == *name; });
  if (!known) {
    return BadRequest("unknown_tool", "tool_choice",
                      "'tool_choice' names the function '" + HeaderSafe(*name).substr(0, 80) +
                          "', which is not among the tools");
  }
  return CannotForce("of one function");
}

Error ReadResponseFormat(const Value& value, const Limits&, GenerationRequest&) {
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
  return WrongValue("response_format.type",
                    "is '" + HeaderSafe(type->AsString()).substr(0, 40) + "', expected \"text\"");
}

Error ReadStreamOptions(const Value& value, const Limits&, GenerationRequest& request) {
  for (const auto& [key, target] :
       {std::pair<std::string_view, bool*>{"include_usage", &request.include_usage},
        {"continuous_usage_stats", &request.continuous_usage}}) {
    const Value* flag = value.Find(key);
    if (flag == nullptr || flag->is_null()) continue;
    if (!flag->is_bool()) {
      return WrongType("stream_options." + std::string(key), *flag, "a boolean");
    }
    *target = flag->AsBool();
  }
  if (!request.stream) {
    return WrongValue("stream_options", "is only for streams; set \"stream\": true");
  }
  return std::nullopt;
}

Error ReadStop(const Value& value, const Limits& limits, GenerationRequest& request) {
  const auto add = [&](const Value& one, const std::string& where) -> Error {
    if (!one.is_string()) return WrongType(where, one, "a string");
    if (one.AsString().empty()) return WrongValue(where, "is empty");
    if (one.AsString().size() > limits.stop_bytes) {
      return WrongValue(where, "has " + std::to_string(one.AsString().size()) +
                                   " bytes, the limit is " + std::to_string(limits.stop_bytes));
    }
    request.stop.push_back(one.AsString());
    return std::nullopt;
  };
  if (value.is_string()) return add(value, "stop");
  if (!value.is_array()) return WrongType("stop", value, "a string or an array of strings");
  if (value.AsArray().size() > limits.stop_strings) {
    return WrongValue("stop", "has " + std::to_string(value.AsArray().size()) +
                                  " entries, the limit is " + std::to_string(limits.stop_strings));
  }
  for (size_t i = 0; i < value.AsArray().size(); ++i) {
    if (Error error = add(value.AsArray()[i], "stop[" + std::to_string(i) + "]")) return error;
  }
  return std::nullopt;
}

Error ReadStopTokens(const Value& value, const Limits&, GenerationRequest& request) {
  for (size_t i = 0; i < value.AsArray().size(); ++i) {
    const auto id = AsInteger(value.AsArray()[i]);
    const std::string where = "stop_token_ids[" + std::to_string(i) + "]";
    if (!id || *id < 0 || *id > INT32_MAX) return WrongValue(where, "is no token id");
    request.stop_token_ids.push_back(static_cast<TokenId>(*id));
  }
  return std::nullopt;
}

Error ReadLogitBias(const Value& value, const Limits&, GenerationRequest& request) {
  for (const json::Member& member : value.AsObject()) {
    const std::string where = "logit_bias." + HeaderSafe(member.key).substr(0, 20);
    int32_t id = -1;
    const char* end = member.key.data() + member.key.size();
    const auto parsed = std::from_chars(member.key.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0) {
      return WrongValue(where, "is no token id");
    }
    if (!member.value.is_number()) return WrongType(where, member.value, "a number");
    const double bias = member.value.AsDouble();
    if (!(bias >= -100 && bias <= 100)) return WrongValue(where, "is not within -100 to 100");
    request.sampling.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  return std::nullopt;
}

Error ReadEffort(const Value& value, const Limits&, GenerationRequest& request) {
  const std::string& effort = value.AsString();
  for (const std::string_view known :
       {"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"}) {
    if (effort != known) continue;
    request.chat.kwargs.Set("enable_thinking", effort != "none");
    if (effort != "none") request.chat.kwargs.Set("reasoning_effort", effort);
    return std::nullopt;
  }
  return WrongValue("reasoning_effort",
                    "is '" + HeaderSafe(effort).substr(0, 40) +
                        "', expected none, minimal, low, medium, high, xhigh, max or ultra");
}

Error ReadTemplateKwargs(const Value& value, const Limits&, GenerationRequest& request) {
  for (const json::Member& member : value.AsObject()) {
    for (const std::string_view ours : {"messages", "tools", "add_generation_prompt"}) {
      if (member.key == ours) {
        return WrongValue("chat_template_kwargs." + member.key,
                          "would replace what the request itself says");
      }
    }
    request.chat.kwargs.Set(member.key, member.value);
  }
  return std::nullopt;
}

Error ReadReasoningFormat(const Value& value, const Limits&, GenerationRequest& request) {
  const std::string& format = value.AsString();
  if (format == "auto" || format == "deepseek") return std::nullopt;
  if (format == "none") {
    request.inline_reasoning = true;
    return std::nullopt;
  }
  return WrongValue("reasoning_format", "is '" + HeaderSafe(format).substr(0, 40) +
                                            "', expected auto, deepseek or none");
}

// -1: without a limit; 0: no thinking at all.
Error ReadThinkingBudget(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.AsInt() == 0) request.chat.kwargs.Set("enable_thinking", false);
  if (value.AsInt() <= 0) return std::nullopt;
  return BadRequest("unsupported_parameter", "thinking_token_budget",
                    "a budget for thinking is not supported; 0 turns thinking off, -1 leaves it "
                    "without a limit");
}

Error ReadModalities(const Value& value, const Limits&, GenerationRequest&) {
  for (const Value& modality : value.AsArray()) {
    if (modality.is_string() && modality.AsString() == "text") continue;
    return WrongValue("modalities", "asks for more than \"text\", all that this model writes");
  }
  return std::nullopt;
}

Error ReadMinTokens(const Value& value, const Limits&, GenerationRequest&) {
  if (value.AsInt() == 0) return std::nullopt;
  return BadRequest("unsupported_parameter", "min_tokens",
                    "'min_tokens' is not supported; use 'ignore_eos' with 'max_tokens'");
}

// Readers of one plain member.
template <auto member>
Error ReadFlag(const Value& value, const Limits&, GenerationRequest& request) {
  request.*member = value.AsBool();
  return std::nullopt;
}

template <auto member>
Error ReadSampling(const Value& value, const Limits&, GenerationRequest& request) {
  auto& target = request.sampling.*member;
  if (!target) target = value.AsDouble();
  return std::nullopt;
}

constexpr double kMaxTokens = 1 << 30;

using R = GenerationRequest;
using S = SamplingRequest;
constexpr auto kHonoured = Handling::kHonoured;
constexpr auto kAccepted = Handling::kAccepted;
constexpr auto kRefused = Handling::kRefused;

constexpr Field kFields[] = {
    {"model", FieldType::kString, kHonoured, "id of the model",
     [](const Value& v, const Limits&, R& r) -> Error {
       r.model = v.AsString();
       return std::nullopt;
     }},
    {"messages", FieldType::kArray, kHonoured, "the conversation", ReadMessages},
    {"stream", FieldType::kBoolean, kHonoured, "answer in server-sent events",
     ReadFlag<&R::stream>},
    {"stream_options", FieldType::kObject, kHonoured, "include_usage, continuous_usage_stats",
     ReadStreamOptions},
    {"max_completion_tokens", FieldType::kInteger, kHonoured, "most tokens of the answer",
     [](const Value& v, const Limits&, R& r) -> Error {
       r.max_tokens = static_cast<size_t>(v.AsInt());
       return std::nullopt;
     },
     0, kMaxTokens},
    {"max_tokens", FieldType::kInteger, kHonoured, "older name of max_completion_tokens",
     [](const Value& v, const Limits&, R& r) -> Error {
       if (!r.max_tokens) r.max_tokens = static_cast<size_t>(v.AsInt());
       return std::nullopt;
     },
     0, kMaxTokens},
    {"temperature", FieldType::kNumber, kHonoured, "0: the most probable token",
     ReadSampling<&S::temperature>, 0, 100},
    {"top_p", FieldType::kNumber, kHonoured, "probability mass to draw from",
     ReadSampling<&S::top_p>, 0, 1},
    {"top_k", FieldType::kInteger, kHonoured, "tokens to draw from; -1 and 0: all",
     [](const Value& v, const Limits&, R& r) -> Error {
       r.sampling.top_k = v.AsInt();
       return std::nullopt;
     },
     -1, kMaxTokens},
    {"min_p", FieldType::kNumber, kHonoured, "least probability, as a share of the greatest",
     ReadSampling<&S::min_p>, 0, 1},
    {"frequency_penalty", FieldType::kNumber, kHonoured, "per occurrence in the answer",
     ReadSampling<&S::frequency_penalty>, -2, 2},
    {"presence_penalty", FieldType::kNumber, kHonoured, "once for a token in the answer",
     ReadSampling<&S::presence_penalty>, -2, 2},
    {"repetition_penalty", FieldType::kNumber, kHonoured, "factor for tokens seen before",
     ReadSampling<&S::repetition_penalty>, 0.01, 100},
    {"repeat_penalty", FieldType::kNumber, kHonoured, "alias of repetition_penalty",
     ReadSampling<&S::repetition_penalty>, 0.01, 100},
    {"seed", FieldType::kInteger, kHonoured, "the same seed gives the same answer; -1: random",
     [](const Value& v, const Limits&, R& r) -> Error {
       if (v.AsInt() != -1) r.sampling.seed = static_cast<uint64_t>(v.AsInt());
       return std::nullopt;
     }},
    {"stop", FieldType::kAny, kHonoured, "strings that end the answer's content", ReadStop},
    {"include_stop_str_in_output", FieldType::kBoolean, kHonoured, "keep the stop string",
     ReadFlag<&R::include_stop>},
    {"stop_token_ids", FieldType::kArray, kHonoured, "tokens that end the answer", ReadStopTokens},
    {"ignore_eos", FieldType::kBoolean, kHonoured, "go on past the end of the answer",
     ReadFlag<&R::ignore_eos>},
    {"logit_bias", FieldType::kObject, kHonoured, "token id to what is added to its logit",
     ReadLogitBias},
    {"logprobs", FieldType::kBoolean, kHonoured, "report log probabilities",
     ReadFlag<&R::logprobs>},
    {"top_logprobs", FieldType::kInteger, kHonoured, "alternatives with each token",
     [](const Value& v, const Limits&, R& r) -> Error {
       r.top_logprobs = static_cast<size_t>(v.AsInt());
       if (r.logprobs) return std::nullopt;
       return WrongValue("top_logprobs", "needs \"logprobs\": true");
     },
     0, 20},
    {"n", FieldType::kInteger, kHonoured, "number of answers",
     [](const Value& v, const Limits& limits, R& r) -> Error {
       if (v.AsInt() > static_cast<int64_t>(limits.choices)) {
         return WrongValue("n", "is " + std::to_string(v.AsInt()) + ", the limit is " +
                                    std::to_string(limits.choices));
       }
       r.choices = static_cast<size_t>(v.AsInt());
       return std::nullopt;
     },
     1, kMaxTokens},
    {"tools", FieldType::kArray, kHonoured, "functions that the model may call", ReadTools},
    {"tool_choice", FieldType::kAny, kHonoured, "none, auto, or some of the tools", ReadToolChoice},
    {"parallel_tool_calls", FieldType::kBoolean, kHonoured, "false: at most one call",
     ReadFlag<&R::parallel_tool_calls>},
    {"response_format", FieldType::kObject, kHonoured, "{\"type\":\"text\"}", ReadResponseFormat},
    // Before reasoning_effort and the budgets, so that those win.
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
     [](const Value& v, const Limits&, R& r) -> Error {
       r.chat.add_generation_prompt = v.AsBool();
       return std::nullopt;
     }},
    {"return_progress", FieldType::kBoolean, kHonoured, "events about the prompt's progress",
     ReadFlag<&R::return_progress>},
    {"timings_per_token", FieldType::kBoolean, kHonoured, "timings in every event",
     ReadFlag<&R::timings_per_token>},
    {"return_token_ids", FieldType::kBoolean, kHonoured, "ids of prompt and answer",
     ReadFlag<&R::return_token_ids>},
    {"sse_ping_interval", FieldType::kInteger, kHonoured, "seconds of silence; -1: no pings",
     [](const Value& v, const Limits&, R& r) -> Error {
       if (v.AsInt() == 0) return WrongValue("sse_ping_interval", "is 0, expected -1 or more");
       r.ping_interval_s = v.AsInt();
       return std::nullopt;
     },
     -1, 3600},
    {"modalities", FieldType::kArray, kHonoured, "[\"text\"]", ReadModalities},
    {"min_tokens", FieldType::kInteger, kHonoured, "0", ReadMinTokens, 0, kMaxTokens},

    {"continue_final_message", FieldType::kAny, kRefused,
     "end the conversation with a user message"},
    {"echo", FieldType::kAny, kRefused, "the prompt is yours already"},
    {"functions", FieldType::kAny, kRefused, "use 'tools'"},
    {"function_call", FieldType::kAny, kRefused, "use 'tool_choice'"},
    {"bad_words", FieldType::kAny, kRefused, "use 'logit_bias'"},
    {"grammar", FieldType::kAny, kRefused, "leave it out"},
    {"json_schema", FieldType::kAny, kRefused, "ask for JSON in the prompt"},
    {"guided_json", FieldType::kAny, kRefused, "ask for JSON in the prompt"},
    {"guided_regex", FieldType::kAny, kRefused, "leave it out"},
    {"guided_choice", FieldType::kAny, kRefused, "leave it out"},
    {"guided_grammar", FieldType::kAny, kRefused, "leave it out"},
    {"structured_outputs", FieldType::kAny, kRefused, "leave it out"},
    {"prompt_logprobs", FieldType::kAny, kRefused, "leave it out"},
    {"routed_experts", FieldType::kAny, kRefused, "leave it out"},
    {"use_beam_search", FieldType::kAny, kRefused, "use 'n'"},

    {"user", FieldType::kAny, kAccepted, "the client's own"},
    {"metadata", FieldType::kAny, kAccepted, "the client's own"},
    {"store", FieldType::kAny, kAccepted, "nothing is stored"},
    {"service_tier", FieldType::kAny, kAccepted, "there is one"},
    {"safety_identifier", FieldType::kAny, kAccepted, "the client's own"},
    {"verbosity", FieldType::kAny, kAccepted, "a hint"},
    {"prediction", FieldType::kAny, kAccepted, "a hint"},
    {"audio", FieldType::kAny, kAccepted, "for another modality"},
    {"web_search_options", FieldType::kAny, kAccepted, "for another service"},
    {"moderation", FieldType::kAny, kAccepted, "for another service"},
    {"prompt_cache_key", FieldType::kAny, kAccepted, "a hint"},
    {"prompt_cache_retention", FieldType::kAny, kAccepted, "a hint"},
    {"session_id", FieldType::kAny, kAccepted, "a hint"},
    {"cache_prompt", FieldType::kAny, kAccepted, "a hint"},
    {"id_slot", FieldType::kAny, kAccepted, "a hint"},
    {"priority", FieldType::kAny, kAccepted, "a hint"},
    {"draft_model", FieldType::kAny, kAccepted, "does not change the answer"},
    {"num_draft_tokens", FieldType::kAny, kAccepted, "does not change the answer"},
    {"speculative.n_max", FieldType::kAny, kAccepted, "does not change the answer"},
    {"ttl", FieldType::kAny, kAccepted, "the model stays loaded"},
    {"keep_alive", FieldType::kAny, kAccepted, "the model stays loaded"},
};

}  // namespace

std::span<const Field> ChatFields() { return kFields; }

std::variant<GenerationRequest, ApiError> ParseChatRequest(std::string_view body,
                                                           const Limits& limits) {
  auto object = ParseBody(body, limits);
  if (auto* error = std::get_if<ApiError>(&object)) return std::move(*error);
  GenerationRequest request;
  if (auto error = ReadFields(std::get<json::Object>(object), kFields, limits, request)) {
    return *std::move(error);
  }
  if (request.chat.messages.empty()) {
    return BadRequest("missing_required_parameter", "messages",
                      "'messages' is missing, expected an array of messages");
  }
  return request;
}

}  // namespace mach::server
