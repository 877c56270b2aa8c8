// Parts of responses that several protocols share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "json/value.h"
#include "server/http/http.h"
#include "server/protocol/choice_run.h"

namespace mach::server {

using ChoiceRuns = std::vector<std::unique_ptr<ChoiceRun>>;

// One server-sent event, on one line.
std::string SseEvent(const json::Value& value);
HttpResponse SseHead();  // of a stream of them
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// OpenAI's "usage" over all choices.
json::Object UsageJson(size_t prompt_tokens, const ChoiceRuns& choices);

// "timings", named as llama-server names them.
json::Object TimingsJson(const ChoiceRun& choice);

json::Array TokenIdsJson(const std::vector<TokenId>& tokens);

// {"content":[...],"refusal":null}
json::Value LogprobsJson(json::Array entries);

// " key=value" pairs about a finished (or abandoned) generation, for the log.
std::string SummaryText(size_t prompt_tokens, const ChoiceRuns& choices, double ttft_ms);

}  // namespace mach::server
