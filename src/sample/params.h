// How the next token is chosen from the logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace mach::sample {

// Applied in this order: logit bias, repetition, presence and frequency penalties, temperature,
// top-k, top-p, min-p. Values outside their range are the caller's to refuse (ValidateParams).
struct Params {
  float temperature = 1.0f;         // 0: the most probable token, ties to the lowest id
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // in (0, 1]; 1: off
  float min_p = 0.0f;               // in [0, 1]; 0: off
  float repetition_penalty = 1.0f;  // > 0; over prompt and output (CTRL, arXiv 1909.05858)
  float presence_penalty = 0.0f;    // over the output (OpenAI)
  float frequency_penalty = 0.0f;   // over the output
  std::vector<std::pair<TokenId, float>> logit_bias;
  uint64_t seed = 0;
};

// Refuses values outside the ranges above, naming the parameter; logit_bias ids must be below
// vocab.
Status ValidateParams(const Params& params, size_t vocab);

}  // namespace mach::sample
