// Decodes an answer in cycles: draft, verify, accept the drafts that the target would have chosen.
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
  sample::Sampler& sampler;          // has accepted the prompt
  std::vector<TokenId>& sequence;    // the prompt; Decode appends the answer's tokens
  Speculator* speculator = nullptr;  // null: one token a pass
  size_t max_tokens = 0;             // of the answer; REQUIRES: the context has room for them
  const std::atomic<bool>& cancelled;
  const Clock& clock;
  // Nanoseconds that passes have waited for experts so far; null where experts do not stream.
  std::function<uint64_t()> stall_ns = nullptr;
};

// kStopped: emit refused a token. kLimit: max_tokens. kCancelled: between two passes; within one it
// is an error.
enum class DecodeEnd : uint8_t { kStopped, kLimit, kCancelled };

// Called for each token in order, with the logits that it was chosen from. False ends the answer
// before this token.
using EmitToken = std::function<bool(TokenId token, std::span<const float> logits)>;

// The tokens do not depend on the speculator: each is the sampler's own choice from the target's
// logits at its position, and a draft is accepted exactly when it equals that choice (DESIGN
// promise 1). On return the state holds the prompt and the answer; only at the limit and after
// kCancelled its last token is missing. Errors are the forward pass's; the state is spent then.
Result<DecodeEnd> Decode(const DecodeArgs& args, const EmitToken& emit);

}  // namespace mach::spec
