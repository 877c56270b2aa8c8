// What a model's files say of its answers.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "json/value.h"
#include "sample/params.h"

namespace mach::engine {

struct ModelDefaults {
  // What ends an answer: all that generation_config.json, config.json ("eos_token_id", an id or a
  // list; also in "text_config") and the tokenizer name, each once. Published models name one end
  // in one file and another in the next.
  std::vector<TokenId> stop_tokens;
  sample::Params sampling;  // of generation_config.json
};

// of_tokenizer: ends that it names. An id that is none of the vocabulary's, and a number of another
// type or out of its range, is an error that names file and field.
Result<ModelDefaults> ReadModelDefaults(const json::Value& config,
                                        const json::Value& generation_config,
                                        std::span<const TokenId> of_tokenizer, size_t vocab);

}  // namespace mach::engine
