#include "engine/model_defaults.h"

#include <algorithm>
#include <string>

#include "json/write.h"

namespace mach::engine {
namespace {

constexpr std::string_view kConfigName = "config.json";
constexpr std::string_view kGenerationName = "generation_config.json";

void AddStop(TokenId token, std::vector<TokenId>& stops) {
  if (std::find(stops.begin(), stops.end(), token) == stops.end()) stops.push_back(token);
}

// Those of "eos_token_id", one id or a list; null is as good as absent.
Status AddStopTokens(const json::Value& config, std::string_view file, size_t vocab,
                     std::vector<TokenId>& stops) {
  const json::Value* eos = config.Find("eos_token_id");
  if (eos == nullptr || eos->is_null()) return Ok();
  const json::Array one{*eos};
  for (const json::Value& id : eos->is_array() ? eos->AsArray() : one) {
    if (!id.is_int() || id.AsInt() < 0 || static_cast<uint64_t>(id.AsInt()) >= vocab) {
      return Error{Code::kUnsupported,
                   std::string(file) + ": 'eos_token_id' has " + json::Write(id) +
                       ", expected ids of the vocabulary, 0 to " + std::to_string(vocab - 1)};
    }
    AddStop(static_cast<TokenId>(id.AsInt()), stops);
  }
  return Ok();
}

Result<sample::Params> ReadSampling(const json::Value& generation, size_t vocab) {
  sample::Params p;
  MACH_TRY(const double temperature, json::GetDouble(generation, "temperature", 1.0));
  MACH_TRY(const double top_p, json::GetDouble(generation, "top_p", 1.0));
  MACH_TRY(const double min_p, json::GetDouble(generation, "min_p", 0.0));
  MACH_TRY(const double repetition, json::GetDouble(generation, "repetition_penalty", 1.0));
  MACH_TRY(const int64_t top_k, json::GetInt(generation, "top_k", 0));
  p.temperature = static_cast<float>(temperature);
  p.top_p = static_cast<float>(top_p);
  p.min_p = static_cast<float>(min_p);
  p.repetition_penalty = static_cast<float>(repetition);
  // Negative ones turn it off in other programs, and more than the vocabulary has is all of it.
  p.top_k = static_cast<int32_t>(std::clamp<int64_t>(top_k, 0, INT32_MAX));
  MACH_RETURN_IF_ERROR(sample::ValidateParams(p, vocab));
  return p;
}

}  // namespace

Result<ModelDefaults> ReadModelDefaults(const json::Value& config,
                                        const json::Value& generation_config,
                                        std::span<const TokenId> of_tokenizer, size_t vocab) {
  ModelDefaults made;
  MACH_RETURN_IF_ERROR(AddStopTokens(generation_config, kGenerationName, vocab, made.stop_tokens));
  MACH_RETURN_IF_ERROR(AddStopTokens(config, kConfigName, vocab, made.stop_tokens));
  if (const json::Value* text = config.Find("text_config")) {
    MACH_RETURN_IF_ERROR(AddStopTokens(*text, kConfigName, vocab, made.stop_tokens));
  }
  for (const TokenId token : of_tokenizer) {
    if (static_cast<size_t>(token) < vocab) AddStop(token, made.stop_tokens);
  }
  auto sampling = ReadSampling(generation_config, vocab);
  if (!sampling) return std::move(sampling).error().In(std::string(kGenerationName));
  made.sampling = *std::move(sampling);
  return made;
}

}  // namespace mach::engine
