#include "server/protocol/generation_fields.h"

#include <charconv>

#include "base/printable.h"
#include "engine/engine.h"
#include "json/value.h"

namespace mach::server {
namespace {

using json::Value;

FieldError ReadStreamOptions(const Value& value, const Limits&, GenerationRequest& request) {
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

FieldError ReadSpeculation(const Value& value, const Limits&, GenerationRequest& request) {
  const Value* mode = value.Find("mode");
  if (mode == nullptr || mode->is_null()) return std::nullopt;
  if (!mode->is_string()) return WrongType("speculation.mode", *mode, "a string");
  const auto found = engine::SpeculationModeFromName(mode->AsString());
  if (!found) {
    return WrongValue("speculation.mode",
                      "is none of auto, dflash, ngram, summarisation, classification and off");
  }
  request.speculation = *found;
  return std::nullopt;
}

FieldError ReadStop(const Value& value, const Limits& limits, GenerationRequest& request) {
  const auto add = [&](const Value& one, const std::string& where) -> FieldError {
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
    if (FieldError error = add(value.AsArray()[i], "stop[" + std::to_string(i) + "]")) return error;
  }
  return std::nullopt;
}

FieldError ReadStopTokens(const Value& value, const Limits&, GenerationRequest& request) {
  for (size_t i = 0; i < value.AsArray().size(); ++i) {
    const auto id = AsInteger(value.AsArray()[i]);
    const std::string where = "stop_token_ids[" + std::to_string(i) + "]";
    if (!id || *id < 0 || *id > INT32_MAX) return WrongValue(where, "is no token id");
    request.stop_token_ids.push_back(static_cast<TokenId>(*id));
  }
  return std::nullopt;
}

FieldError ReadLogitBias(const Value& value, const Limits&, GenerationRequest& request) {
  for (const json::Member& member : value.AsObject()) {
    const std::string where = "logit_bias." + PrintableAscii(member.key).substr(0, 20);
    int32_t id = -1;
    const char* end = member.key.data() + member.key.size();
    const auto parsed = std::from_chars(member.key.data(), end, id);
    // One spelling of each id, so that there are not more entries than tokens.
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0 ||
        std::to_string(id) != member.key) {
      return WrongValue(where, "is no token id");
    }
    if (!member.value.is_number()) return WrongType(where, member.value, "a number");
    const double bias = member.value.AsDouble();
    if (!(bias >= -100 && bias <= 100)) return WrongValue(where, "is not within -100 to 100");
    request.sampling.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  return std::nullopt;
}

// -1 is as if the field was absent.
FieldError ReadMostTokens(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.AsInt() >= 0 && !request.max_tokens) {
    request.max_tokens = static_cast<size_t>(value.AsInt());
  }
  return std::nullopt;
}

FieldError ReadMinTokens(const Value& value, const Limits&, GenerationRequest&) {
  if (value.AsInt() == 0) return std::nullopt;
  return BadRequest("unsupported_parameter", "min_tokens",
                    "'min_tokens' is not supported; use 'ignore_eos' with 'max_tokens'");
}

// The first of the fields that name a session decides.
FieldError ReadSession(const Value& value, const Limits&, GenerationRequest& request) {
  if (value.is_string() && request.session.empty()) request.session = SessionName(value.AsString());
  return std::nullopt;
}

constexpr double kMaxTokens = kMaxTokensParameter;

using R = GenerationRequest;
using S = SamplingRequest;
using enum Handling;

constexpr Field kSharedFields[] = {
    {"model", FieldType::kString, kHonoured, "id of the model",
     [](const Value& v, const Limits&, R& r) -> FieldError {
       r.model = v.AsString();
       return std::nullopt;
     }},
    {"stream", FieldType::kBoolean, kHonoured, "answer in server-sent events",
     ReadFlag<&R::stream>},
    {"stream_options", FieldType::kObject, kHonoured, "include_usage, continuous_usage_stats",
     ReadStreamOptions},
    {"max_completion_tokens", FieldType::kInteger, kHonoured,
     "most tokens of the answer; -1: no limit", ReadMostTokens, -1, kMaxTokens},
    {"max_tokens", FieldType::kInteger, kHonoured, "older name of max_completion_tokens",
     ReadMostTokens, -1, kMaxTokens},
    {"temperature", FieldType::kNumber, kHonoured, "0: the most probable token",
     ReadSampling<&S::temperature>, 0, 100},
    {"top_p", FieldType::kNumber, kHonoured, "probability mass to draw from",
     ReadSampling<&S::top_p>, 0, 1},
    {"top_k", FieldType::kInteger, kHonoured, "tokens to draw from; -1 and 0: all",
     [](const Value& v, const Limits&, R& r) -> FieldError {
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
     [](const Value& v, const Limits&, R& r) -> FieldError {
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
    {"n", FieldType::kInteger, kHonoured, "number of answers",
     [](const Value& v, const Limits& limits, R& r) -> FieldError {
       if (v.AsInt() > static_cast<int64_t>(limits.choices)) {
         return WrongValue("n", "is " + std::to_string(v.AsInt()) + ", the limit is " +
                                    std::to_string(limits.choices));
       }
       r.choices = static_cast<size_t>(v.AsInt());
       return std::nullopt;
     },
     1, kMaxTokens},
    {"speculation", FieldType::kObject, kHonoured,
     "{\"mode\": auto, dflash, ngram, summarisation, classification or off}; changes no token",
     ReadSpeculation},
    {"return_progress", FieldType::kBoolean, kHonoured, "events about the prompt's progress",
     ReadFlag<&R::return_progress>},
    {"timings_per_token", FieldType::kBoolean, kHonoured, "timings in every event",
     ReadFlag<&R::timings_per_token>},
    {"return_token_ids", FieldType::kBoolean, kHonoured, "ids of prompt and answer",
     ReadFlag<&R::return_token_ids>},
    {"sse_ping_interval", FieldType::kInteger, kHonoured, "seconds of silence; -1: no pings",
     [](const Value& v, const Limits&, R& r) -> FieldError {
       if (v.AsInt() == 0) return WrongValue("sse_ping_interval", "is 0, expected -1 or more");
       r.ping_interval_s = v.AsInt();
       return std::nullopt;
     },
     -1, 3600},
    {"min_tokens", FieldType::kInteger, kHonoured, "0", ReadMinTokens, 0, kMaxTokens},
    {"session_id", FieldType::kAny, kHonoured, "sessions take turns", ReadSession},
    {"prompt_cache_key", FieldType::kAny, kHonoured, "names the session", ReadSession},
    {"user", FieldType::kAny, kHonoured, "names the session", ReadSession},
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
    {"metadata", FieldType::kAny, kAccepted, "the client's own"},
    {"service_tier", FieldType::kAny, kAccepted, "there is one"},
    {"safety_identifier", FieldType::kAny, kAccepted, "the client's own"},
    {"prompt_cache_retention", FieldType::kAny, kAccepted, "a hint"},
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

std::span<const Field> SharedFields() { return kSharedFields; }

std::vector<Field> WithSharedFields(std::span<const Field> own) {
  std::vector<Field> all(own.begin(), own.end());
  all.insert(all.end(), std::begin(kSharedFields), std::end(kSharedFields));
  return all;
}

std::string SessionName(std::string_view name) {
  constexpr size_t kMaxBytes = 128;
  return std::string(name.substr(0, kMaxBytes));
}

void ReadSessionHeader(const HttpRequest& http, std::string& session) {
  const std::string* header = http.FindHeader("x-session-id");
  if (header != nullptr && !header->empty()) session = SessionName(PrintableAscii(*header));
}

}  // namespace mach::server
