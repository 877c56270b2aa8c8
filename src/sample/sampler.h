// Logits to token.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "sample/params.h"

namespace mach::sample {

struct LogProb {
  TokenId token = 0;
  float logprob = 0;
};

// The sampler of one sequence. Owned by one thread. A choice is a function of the logits, the
// parameters, the tokens before it and the position alone: the draw at a position comes from (seed,
// position), so that it is the same however often and in whatever order positions are tried (DESIGN
// promise 1).
class Sampler {
 public:
  // REQUIRES: ValidateParams(params, vocab).
  Sampler(Params params, size_t vocab);

  // Tokens that repetition penalties know of: the prompt's, then each one that joined the output.
  void AcceptPrompt(std::span<const TokenId> prompt);
  void Accept(TokenId token);

  // The token at `position` (its index in the sequence). logits: [vocab].
  TokenId Choose(std::span<const float> logits, uint64_t position);

 private:
  void Adjust(std::span<const float> logits);
  TokenId Draw(uint64_t position);

  const Params params_;
  const bool adjusts_;
  std::vector<float> logits_;  // after bias and penalties
  struct Candidate {
    float logit;
    TokenId token;
    double weight;  // probability over that of the most probable one
  };
  std::vector<Candidate> candidates_;
  struct Seen {
    uint32_t prompt = 0;
    uint32_t output = 0;
  };
  std::unordered_map<TokenId, Seen> seen_;
};

// The most probable token; ties to the lowest id. NaN never wins.
TokenId Argmax(std::span<const float> logits);

// Log-probability of `token` and of the `top` most probable tokens under softmax(logits), in that
// order.
struct LogProbs {
  float chosen = 0;
  std::vector<LogProb> top;
};
LogProbs ComputeLogProbs(std::span<const float> logits, TokenId token, size_t top);

}  // namespace mach::sample
