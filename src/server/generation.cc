#include "server/generation.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "server/fields.h"

namespace mach::server {
namespace {

// OpenAI allows top_p 0; the engine wants a positive mass: the least one keeps one token.
constexpr float kLeastTopP = 1e-6f;

sample::Params SamplingFor(const SamplingRequest& asked, const sample::Params& defaults) {
  sample::Params params = defaults;
  const auto set = [](const std::optional<double>& value, float& target) {
    if (value) target = static_cast<float>(*value);
  };
  set(asked.temperature, params.temperature);
  set(asked.top_p, params.top_p);
  set(asked.min_p, params.min_p);
  set(asked.repetition_penalty, params.repetition_penalty);
  set(asked.presence_penalty, params.presence_penalty);
  set(asked.frequency_penalty, params.frequency_penalty);
  params.top_p = std::max(params.top_p, kLeastTopP);
  if (asked.top_k) params.top_k = static_cast<int32_t>(std::max<int64_t>(0, *asked.top_k));
  params.logit_bias = asked.logit_bias;
  params.seed = asked.seed ? *asked.seed : RandomSeed();
  return params;
}

}  // namespace

ApiError ContextOverflow(size_t prompt_tokens, size_t context_tokens) {
  ApiError error;
  error.type = "exceed_context_size_error";
  error.code = "context_length_exceeded";
  error.param = "messages";
  error.message = "This model's maximum context length is " + std::to_string(context_tokens) +
                  " tokens. The request (" + std::to_string(prompt_tokens) +
                  " tokens) exceeds the available context size; shorten it or restart with a "
                  "larger --ctx-size.";
  error.extra = {{"n_prompt_tokens", prompt_tokens}, {"n_ctx", context_tokens}};
  return error;
}

ApiError ModelNotFound(const std::string& asked, const std::string& served) {
  ApiError error;
  error.status = 404;
  error.type = "not_found_error";
  error.code = "model_not_found";
  error.param = "model";
  error.message = "there is no model '" + HeaderSafe(asked).substr(0, 200) + "' here" +
                  (served.empty() ? "" : "; this server has '" + served + "'");
  return error;
}

std::variant<ChoiceRuns, ApiError> PrepareChoices(const std::string& request_id,
                                                  const GenerationRequest& request,
                                                  const Prompt& prompt,
                                                  const std::shared_ptr<engine::Engine>& engine,
                                                  const std::shared_ptr<const Codec>& codec) {
  const engine::Info& info = engine->info();
  if (prompt.tokens.empty()) return WrongValue("messages", "have no text");
  if (prompt.tokens.size() >= info.context_tokens) {
    return ContextOverflow(prompt.tokens.size(), info.context_tokens);
  }
  const auto beyond = [&](TokenId token) { return static_cast<size_t>(token) >= info.vocab_size; };
  for (const auto& [token, bias] : request.sampling.logit_bias) {
    if (beyond(token)) {
      return WrongValue("logit_bias." + std::to_string(token),
                        "is beyond the vocabulary of " + std::to_string(info.vocab_size));
    }
  }
  for (const TokenId token : request.stop_token_ids) {
    if (beyond(token)) {
      return WrongValue("stop_token_ids", "has " + std::to_string(token) +
                                              ", beyond the vocabulary of " +
                                              std::to_string(info.vocab_size));
    }
  }

  engine::Request one;
  one.prompt = prompt.tokens;
  one.sampling = SamplingFor(request.sampling, info.default_sampling);
  const size_t room = info.context_tokens - prompt.tokens.size();
  one.max_tokens = std::min(request.max_tokens.value_or(room), room);
  if (!request.ignore_eos) one.stop_tokens = info.stop_tokens;
  one.stop_tokens.insert(one.stop_tokens.end(), request.stop_token_ids.begin(),
                         request.stop_token_ids.end());
  one.want_logprobs = request.logprobs;
  one.logprobs = request.top_logprobs;

  const auto stops = std::make_shared<const chat::Patterns>(request.stop);
  ChoiceRuns runs;
  for (size_t i = 0; i < request.choices; ++i) {
    engine::Request mine = one;
    mine.id = request.choices == 1 ? request_id : request_id + "/" + std::to_string(i);
    mine.sampling.seed += i;
    runs.push_back(std::make_unique<ChoiceRun>(
        engine, std::move(mine), std::make_unique<OutputPipeline>(codec, request, prompt, stops)));
  }
  return runs;
}

}  // namespace mach::server
