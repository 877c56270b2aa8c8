#include "server/protocol/openai_completions/completion_request.h"

#include "json/value.h"
#include "server/protocol/generation_fields.h"

namespace mach::server {
namespace {

using json::Value;

FieldError AddPrompt(const Value& value, const std::string& param, GenerationRequest& request) {
  if (value.is_string()) {
    request.prompts.emplace_back(value.AsString());
    return std::nullopt;
  }
  if (!value.is_array()) return WrongType(param, value, "a string or an array of token ids");
  auto ids = ReadTokenIds(value, param);
  if (auto* error = std::get_if<ApiError>(&ids)) return std::move(*error);
  request.prompts.emplace_back(std::get<std::vector<TokenId>>(std::move(ids)));
  return std::nullopt;
}

// A text, texts, token ids, or arrays of token ids.
FieldError ReadPrompt(const Value& value, const Limits& limits, GenerationRequest& request) {
  if (value.is_string()) return AddPrompt(value, "prompt", request);
  if (!value.is_array()) return WrongType("prompt", value, "a string or an array");
  const json::Array& given = value.AsArray();
  if (given.empty()) return WrongValue("prompt", "is empty, expected text or token ids");
  if (given.front().is_number()) return AddPrompt(value, "prompt", request);
  if (given.size() > limits.choices) {
    return WrongValue("prompt", "has " + std::to_string(given.size()) + " entries, the limit is " +
                                    std::to_string(limits.choices));
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string param = "prompt[" + std::to_string(i) + "]";
    if (FieldError error = AddPrompt(given[i], param, request)) return error;
  }
  return std::nullopt;
}

FieldError ReadLogprobs(const Value& value, const Limits&, GenerationRequest& request) {
  request.logprobs = true;
  request.top_logprobs = static_cast<size_t>(value.AsInt());
  return std::nullopt;
}

FieldError ReadBestOf(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.AsInt() == static_cast<int64_t>(request.choices)) return std::nullopt;
  return BadRequest("unsupported_parameter", "best_of",
                    "'best_of' is supported only where it equals 'n': no answers are ranked");
}

constexpr Field kCompletionFields[] = {
    {.name = "prompt",
     .help = "a string, an array of strings, token ids, or arrays of token ids",
     .read = ReadPrompt,
     .required = true},
    {"logprobs", FieldType::kInteger, Handling::kHonoured,
     "report log probabilities, with so many alternatives", ReadLogprobs, 0, 20},
    {"echo", FieldType::kBoolean, Handling::kHonoured, "begin the text with the prompt",
     ReadFlag<&GenerationRequest::echo>},
    {"suffix", FieldType::kAny, Handling::kRefused, "this model continues text, it fills no gaps"},
    {"response_format", FieldType::kAny, Handling::kRefused, "ask for JSON in the prompt"},
};
// After the shared ones: it is compared with "n".
constexpr Field kLastFields[] = {
    {"best_of", FieldType::kInteger, Handling::kHonoured, "as 'n'", ReadBestOf, 1, 1000},
};

}  // namespace

std::span<const Field> CompletionFields() {
  static const std::vector<Field> fields = [] {
    std::vector<Field> all = WithSharedFields(kCompletionFields);
    all.insert(all.end(), std::begin(kLastFields), std::end(kLastFields));
    return all;
  }();
  return fields;
}

std::variant<std::vector<TokenId>, ApiError> ReadTokenIds(const Value& value,
                                                          const std::string& param) {
  std::vector<TokenId> ids;
  ids.reserve(value.AsArray().size());
  for (size_t i = 0; i < value.AsArray().size(); ++i) {
    const auto id = AsInteger(value.AsArray()[i]);
    if (!id || *id < 0 || *id > INT32_MAX) {
      return WrongValue(param + "[" + std::to_string(i) + "]", "is no token id");
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

std::variant<GenerationRequest, ApiError> ParseCompletionRequest(std::string_view body,
                                                                 const Limits& limits) {
  auto object = ParseBody(body, limits, CompletionFields());
  if (auto* error = std::get_if<ApiError>(&object)) return std::move(*error);
  GenerationRequest request;
  if (auto error = ReadFields(std::get<json::Object>(object), CompletionFields(), limits, request,
                              request.ignored)) {
    return *std::move(error);
  }
  if (request.prompts.size() * request.choices > limits.choices) {
    return WrongValue("n", "asks for " + std::to_string(request.prompts.size() * request.choices) +
                               " answers in all, the limit is " + std::to_string(limits.choices));
  }
  if (request.echo && request.logprobs) {
    return BadRequest("unsupported_parameter", "echo",
                      "'echo' with 'logprobs' is not supported: the prompt's log probabilities "
                      "are not computed");
  }
  request.inline_reasoning = true;  // the text is what the model writes
  return request;
}

}  // namespace mach::server
