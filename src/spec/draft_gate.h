// Whether a cycle drafts, and how many slots: by what became of earlier drafts.
#pragma once

#include <array>
#include <cstddef>

#include "spec/policy_tuning.h"

namespace mach::spec {

// What became of a draft, in tokens; BlockPolicy has the formulas.
struct DraftOutcome {
  double net = 0;       // what the cycle gained
  double promise = 0;   // what the draft promised to gain before it was verified
  double reach = 0;     // chance that all of its drafts are accepted
  size_t accepted = 0;  // drafts
  bool open = false;    // no draft was rejected, so a longer one might have had more accepted
};

// Three rules, each of which can close the gate:
//
//  * Experience by degree of certainty. How certain the target is of its text tells before anything
//    is spent how many drafts it will accept, so the gain of drafts is kept apart by intervals of
//    certainty (degrees). A degree drafts while its mean promise is positive, else it waits, then
//    has a short trial. The wait doubles with each failure.
//  * The text's gain. Drafts of one text may promise less than drafts of the same degrees in other
//    texts. A degree drafts only while its gain plus the text's difference is positive.
//  * The account. It bounds what drafts may lose whatever they promise: each cycle with a draft
//    adds its net tokens, each plain one loss_share, up to max_credit. A draft that costs more than
//    the balance is not made.
//
// Deterministic. Owned by one thread; lives across requests.
class DraftGate {
 public:
  // A new text begins.
  void BeginRequest();
  // A cycle begins after a token of this certainty (Certainty::Value, in logits).
  void BeginCycle(float certainty);
  // Slots to draft in this cycle, the anchor's included: 2 to max_slots, or 1 where no draft would
  // pay. A call takes one cycle off the degree's wait. REQUIRES: max_slots >= 2.
  size_t Slots(size_t max_slots);
  // Whether a draft of this cost is more than the account bears.
  bool Overdraws(double tokens) const { return credit_ < tokens; }

  // What became of the cycle.
  void ObservePlain() { Enter(kPolicyTuning.loss_share); }
  void ObserveDraft(const DraftOutcome& outcome);

 private:
  static constexpr size_t kDegrees = kPolicyTuning.certainty_edges.size() + 1;
  struct Degree {
    bool met = false;                      // a cycle of it has begun
    double run = kPolicyTuning.first_run;  // decayed mean of accepted drafts
    double gain = 0;                       // decayed mean of promises
    size_t plain_left = 0;                 // cycles until the next trial
    size_t wait = 0;                       // plain_left after the last failure; 0: none failed
  };
  bool NextHigherDegreePays() const;
  double TextGain() const;
  void Enter(double tokens);

  std::array<Degree, kDegrees> degrees_ = {};
  size_t degree_ = 0;                           // of this cycle
  double text_gain_ = 0;                        // decayed sum of promise - gain of the degree
  double text_drafts_ = 0;                      // decayed number of drafts in that sum
  double credit_ = kPolicyTuning.first_credit;  // balance of the account, tokens
};

}  // namespace mach::spec
