// Who guesses the next tokens. A guess changes the speed of an answer, never a token of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/ids.h"
#include "cache/sequence_state.h"

namespace mach::spec {

struct Draft {
  TokenId token = 0;
  float confidence = 0;  // the proposer's own probability that the target agrees, in [0, 1]
};

// Asked by a proposer that makes its drafts in parts: with those so far, whether more are wanted.
using MoreDrafts = std::function<bool(std::span<const Draft> so_far)>;

// Follows one sequence at a time. Owned by one thread.
class Proposer {
 public:
  virtual ~Proposer() = default;
  // Target layers, ascending, whose output it wants of every forwarded token.
  virtual std::span<const uint32_t> taps() const { return {}; }
  virtual size_t max_drafts() const = 0;
  // A new sequence begins.
  virtual void Reset() = 0;
  // After Reset: the sequence's state, which stays as long as the sequence goes on. Its first
  // length() tokens will not be observed; what is known of them lies in its notes.
  virtual void Follow(cache::SequenceState& /*state*/) {}
  // The notes of all that was observed are written.
  virtual void Sync() {}
  // Tapped rows [rows, taps * hidden] of the tokens that follow those observed before: the
  // prompt's, then those of each pass that were kept. Without taps it is not called.
  virtual void Observe(const float* features, size_t rows) = 0;
  // sequence: prompt and output; the target has not seen the last token yet, all before it were
  // observed. Fills drafts for the positions after it; returns how many. May ask `more` in between.
  virtual size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                         const MoreDrafts& more) = 0;
};

}  // namespace mach::spec
