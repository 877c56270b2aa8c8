#include <algorithm>

#include "engine/local_engine.h"

namespace mach::engine {
namespace {

// Those of "eos_token_id", one id or a list.
void AddStopTokens(const json::Value& config, size_t vocab, std::vector<TokenId>& stops) {
  const json::Value* eos = config.Find("eos_token_id");
  const auto add = [&](const json::Value& id) {
    if (!id.is_int() || id.AsInt() < 0 || static_cast<uint64_t>(id.AsInt()) >= vocab) return;
    const auto token = static_cast<TokenId>(id.AsInt());
    if (std::find(stops.begin(), stops.end(), token) == stops.end()) stops.push_back(token);
  };
  if (eos == nullptr) return;
  if (eos->is_array()) {
    std::for_each(eos->AsArray().begin(), eos->AsArray().end(), add);
  } else {
    add(*eos);
  }
}

}  // namespace

std::vector<TokenId> StopTokens(const json::Value& config, const json::Value& generation_config,
                                std::span<const TokenId> of_tokenizer, size_t vocab) {
  std::vector<TokenId> stops;
  AddStopTokens(generation_config, vocab, stops);
  AddStopTokens(config, vocab, stops);
  if (const json::Value* text = config.Find("text_config")) AddStopTokens(*text, vocab, stops);
  for (const TokenId token : of_tokenizer) {
    if (static_cast<size_t>(token) >= vocab) continue;
    if (std::find(stops.begin(), stops.end(), token) == stops.end()) stops.push_back(token);
  }
  return stops;
}

std::string HowToFitPrompt(const Info& info, size_t prompt_tokens) {
  // One more than the prompt, for an answer.
  if (info.most_context_tokens <= std::max(info.context_tokens, prompt_tokens)) {
    return "shorten it; this model under this ceiling (--wired-gb) can have no context that long";
  }
  return "shorten it, or restart with --ctx-size up to " + std::to_string(info.most_context_tokens);
}

Result<Info> DescribeModel(const model::LoadedModel& model, const std::string& model_id,
                           std::span<const TokenId> stop_tokens) {
  Info info;
  info.model_id = model_id;
  info.architecture = model.config().architecture;
  info.context_tokens = model.context_tokens();
  info.most_context_tokens = model.most_context_tokens();
  info.vocab_size = model.config().vocab;
  info.parameter_count = model.model().ParameterCount();
  const json::Value& generation = model.checkpoint().generation_config();
  const json::Value& config = model.checkpoint().config();
  info.stop_tokens = StopTokens(config, generation, stop_tokens, info.vocab_size);

  sample::Params& p = info.default_sampling;
  const auto read = [&]() -> Status {
    MACH_TRY(const double temperature, json::GetDouble(generation, "temperature", 1.0));
    MACH_TRY(const double top_p, json::GetDouble(generation, "top_p", 1.0));
    MACH_TRY(const double min_p, json::GetDouble(generation, "min_p", 0.0));
    MACH_TRY(const double repetition, json::GetDouble(generation, "repetition_penalty", 1.0));
    MACH_TRY(const int64_t top_k, json::GetInt(generation, "top_k", 0));
    p.temperature = static_cast<float>(temperature);
    p.top_p = static_cast<float>(top_p);
    p.min_p = static_cast<float>(min_p);
    p.repetition_penalty = static_cast<float>(repetition);
    p.top_k = static_cast<int32_t>(std::clamp<int64_t>(top_k, 0, INT32_MAX));
    return sample::ValidateParams(p, info.vocab_size);
  };
  if (Status status = read(); !status) {
    return std::move(status).error().In(model.checkpoint().directory() + "/generation_config.json");
  }
  return info;
}

}  // namespace mach::engine
