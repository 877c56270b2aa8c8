// From the prompt's last logits to the end of an answer, in cycles: propose, verify, keep what
// agrees.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "cache/sequence_state.h"
#include "sample/sampler.h"
#include "spec/speculator.h"
#include "spec/verifier.h"

namespace mach::spec {

struct DecodeArgs {
  Verifier& verifier;  // after Prefill of the whole prompt, with logits
  cache::SequenceState& state;
  sample::Sampler& sampler;          // knows the prompt
  std::vector<TokenId>& sequence;    // the prompt; the answer's tokens are added
  Speculator* speculator = nullptr;  // null: every pass is one token
  size_t most = 0;                   // tokens of the answer; what the context leaves, at most
  const std::atomic<bool>& cancelled;
  const Clock& clock;
  // When experts stream: how long passes have waited for them so far. Null: never.
  std::function<uint64_t()> stall_ns = nullptr;
};

enum class DecodeEnd : uint8_t { kStopped, kLimit, kCancelled };

// Called for each token in order, with the logits that it was chosen from; false ends the answer
// before this token.
using EmitToken = std::function<bool(TokenId token, std::span<const float> logits)>;

// The tokens do not depend on the speculator: each is the sampler's own choice from the target's
// logits at its position, and a draft is kept exactly when it equals that choice (DESIGN promise
// 1). On return the state holds the prompt and all tokens of the answer but the last one, or, where
// emit ended it, all. Errors are the forward pass's; the state is spent then.
Result<DecodeEnd> Decode(const DecodeArgs& args, const EmitToken& emit);

}  // namespace mach::spec
