// The interface of what drafts the next tokens. Drafts change the speed of an answer, never a token
// of it.
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

// Called by a proposer that drafts in parts, with the drafts of all parts so far: whether it should
// draft the next part.
using MoreDrafts = std::function<bool(std::span<const Draft> so_far)>;

// Follows one sequence at a time. Owned by one thread.
class Proposer {
 public:
  virtual ~Proposer() = default;
  // Target layers, ascending, whose output Observe is given. Constant.
  virtual std::span<const uint32_t> taps() const { return {}; }
  virtual size_t max_drafts() const = 0;
  // A new sequence begins.
  virtual void Reset() = 0;
  // Gives the state of the new sequence, which must live until the next Reset. Its first length()
  // tokens are not observed; the features that are known of them are in the state. REQUIRES: Reset
  // was the last call.
  virtual void Follow(cache::SequenceState& /*state*/) {}
  // Brings the features of everything observed into the followed state.
  virtual void Sync() {}
  // features [rows, taps * hidden]: what the tapped layers put out at the next `rows` positions,
  // first of the prompt, then of the accepted rows of each pass. Not called without taps.
  virtual void Observe(const float* features, size_t rows) = 0;
  // Drafts the tokens after `sequence` (prompt and answer) into out; returns how many. All tokens
  // of it but the last were observed: the target has not seen that one yet.
  virtual size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                         const MoreDrafts& more) = 0;
};

}  // namespace mach::spec
