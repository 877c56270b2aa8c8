#include "server/protocol/generation.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "base/random.h"
#include "chat/output_parser.h"
#include "chat/patterns.h"
#include "dialog/prefix_points.h"
#include "sample/params.h"
#include "server/protocol/fields.h"

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

// The tokens that a forced call begins with; none where nothing is forced.
std::variant<std::vector<TokenId>, ApiError> ForcedTokens(const GenerationRequest& request,
                                                          const dialog::Prompt& prompt,
                                                          const dialog::Codec& codec) {
  if (!request.force_call) return std::vector<TokenId>();
  std::string name = request.forced_function;
  if (name.empty() && request.chat.tools.size() == 1) {
    name = request.chat.tools[0].Find("function")->Find("name")->AsString();
  }
  std::string opening = chat::CallOpening(codec.format(), name);
  if (opening.empty()) {
    return BadRequest("unsupported_parameter", "tool_choice",
                      "'tool_choice' cannot force a call of '" +
                          PrintableAscii(name).substr(0, 80) +
                          "' with this model's chat template; use \"auto\" or \"none\"");
  }
  if (prompt.ends_in_reasoning) opening.insert(0, codec.format().reasoning_close + "\n\n");
  auto tokens = codec.EncodeText(opening);
  if (!tokens) return FromError(tokens.error(), "");
  return *std::move(tokens);
}

std::optional<ApiError> CheckTokens(const std::vector<TokenId>& tokens, std::string_view param,
                                    size_t vocab) {
  for (const TokenId token : tokens) {
    if (static_cast<size_t>(token) < vocab) continue;
    return WrongValue(param, "has " + std::to_string(token) + ", beyond the vocabulary of " +
                                 std::to_string(vocab));
  }
  return std::nullopt;
}

}  // namespace

ApiError ContextOverflow(size_t prompt_tokens, const engine::Info& info, std::string_view param) {
  ApiError error;
  error.type = "exceed_context_size_error";
  error.code = "context_length_exceeded";
  error.param = param;
  error.message = "This model's maximum context length is " + std::to_string(info.context_tokens) +
                  " tokens. The request (" + std::to_string(prompt_tokens) +
                  " tokens) exceeds the available context size; " +
                  engine::HowToFitPrompt(info, prompt_tokens) + ".";
  error.extra = {{"n_prompt_tokens", prompt_tokens}, {"n_ctx", info.context_tokens}};
  return error;
}

ApiError ModelNotFound(const std::string& asked, const std::string& served) {
  ApiError error;
  error.status = 404;
  error.type = "not_found_error";
  error.code = "model_not_found";
  error.param = "model";
  error.message = "there is no model '" + PrintableAscii(asked).substr(0, 200) + "' here" +
                  (served.empty() ? "" : "; this server has '" + served + "'");
  return error;
}

std::variant<ChoiceRuns, ApiError> PrepareChoices(
    const std::string& request_id, const GenerationRequest& request,
    std::vector<dialog::Prompt>& prompts, const std::shared_ptr<engine::Engine>& engine,
    const std::shared_ptr<const dialog::Codec>& codec) {
  const engine::Info& info = engine->info();
  for (const auto& [token, bias] : request.sampling.logit_bias) {
    if (static_cast<size_t>(token) < info.vocab_size) continue;
    return WrongValue("logit_bias." + std::to_string(token),
                      "is beyond the vocabulary of " + std::to_string(info.vocab_size));
  }
  if (auto error = CheckTokens(request.stop_token_ids, "stop_token_ids", info.vocab_size)) {
    return *std::move(error);
  }

  engine::Request one;
  one.sampling = SamplingFor(request.sampling, info.default_sampling);
  if (!request.ignore_eos) one.stop_tokens = info.stop_tokens;
  one.stop_tokens.insert(one.stop_tokens.end(), request.stop_token_ids.begin(),
                         request.stop_token_ids.end());
  one.want_logprobs = request.logprobs;
  one.logprobs = request.top_logprobs;
  const size_t total = prompts.size() * request.choices;
  one.speculation = request.speculation;
  one.session = request.session;
  if (one.session.empty() && total > 1) one.session = request_id;  // one turn for all of them

  const std::string_view param = request.prompts.empty() ? "messages" : "prompt";
  const auto stops = std::make_shared<const chat::Patterns>(request.stop);
  ChoiceRuns runs;
  for (size_t i = 0; i < total; ++i) {
    dialog::Prompt& prompt = prompts[i / request.choices];
    std::vector<TokenId> forced;
    if (i % request.choices == 0) {
      auto opening = ForcedTokens(request, prompt, *codec);
      if (auto* error = std::get_if<ApiError>(&opening)) return std::move(*error);
      forced = std::get<std::vector<TokenId>>(std::move(opening));
      prompt.tokens.insert(prompt.tokens.end(), forced.begin(), forced.end());
      prompt.forced = forced.size();
      if (prompt.tokens.empty()) return WrongValue(param, "has no text");
      if (auto error = CheckTokens(prompt.tokens, param, info.vocab_size)) return *std::move(error);
      if (prompt.tokens.size() >= info.context_tokens) {
        return ContextOverflow(prompt.tokens.size(), info, param);
      }
    } else {
      forced.assign(prompt.tokens.end() - static_cast<std::ptrdiff_t>(prompt.forced),
                    prompt.tokens.end());
    }
    engine::Request mine = one;
    if (request.prompts.empty()) {
      mine.prefix_points = dialog::PrefixPointsOf(prompt.tokens, info.stop_tokens,
                                                  dialog::BeginsWithSystem(request.chat));
    }
    mine.id = total == 1 ? request_id : request_id + "/" + std::to_string(i);
    mine.prompt = prompt.tokens;
    const size_t room = info.context_tokens - prompt.tokens.size();
    mine.max_tokens = std::min(request.max_tokens.value_or(room), room);
    mine.sampling.seed += i;
    runs.push_back(std::make_unique<ChoiceRun>(
        engine, std::move(mine), std::make_unique<OutputPipeline>(codec, request, prompt, stops),
        std::move(forced)));
  }
  return runs;
}

}  // namespace mach::server
