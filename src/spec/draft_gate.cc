#include "spec/draft_gate.h"

#include <algorithm>
#include <cmath>

namespace mach::spec {

// A degree is in one of four states:
//
//   new      gain == 0, wait == 0: drafts at full length, if the next higher degree met pays
//   paying   gain > 0: drafts at full length, if the text's difference leaves a gain
//   waiting  gain <= 0, plain_left > 0: decodes plainly, and counts its cycles
//   trial    gain <= 0, wait > 0, plain_left == 0: a draft of trial_slots, if the next higher
//            degree met pays
//
// After a draft, gain > 0 leads to paying, gain <= 0 to waiting; a wait that ends leads to trial.
//
// Invariants: plain_left <= wait <= longest_wait. plain_left > 0 implies gain <= 0. gain < 0
// implies wait > 0. Only the degree of the current cycle changes, except for BeginRequest.

// Another text may be easier or harder. A failed degree is tried sooner than in the text where it
// failed, but not at once, or many short answers would pay for many trials.
void DraftGate::BeginRequest() {
  for (Degree& d : degrees_) {
    d.plain_left = std::min(d.plain_left, kPolicyTuning.new_request_wait);
    d.wait = std::min(d.wait, kPolicyTuning.new_request_wait);
  }
  text_gain_ = text_drafts_ = 0;
}

void DraftGate::BeginCycle(float certainty) {
  degree_ = IntervalOf(kPolicyTuning.certainty_edges, certainty);
  degrees_[degree_].met = true;
  text_gain_ *= kPolicyTuning.text_decay;
  text_drafts_ *= kPolicyTuning.text_decay;
}

// More drafts are accepted the more certain the target is: where they do not pay after certain
// tokens, there is no use in trying after less certain ones.
bool DraftGate::NextHigherDegreePays() const {
  for (size_t above = degree_ + 1; above < kDegrees; ++above) {
    if (degrees_[above].met) return degrees_[above].gain > 0;
  }
  return true;
}

// How many tokens more (or less) a draft of this text promises than its degree's mean.
double DraftGate::TextGain() const {
  return text_gain_ / (text_drafts_ + kPolicyTuning.text_prior);
}

size_t DraftGate::Slots(size_t max_slots) {
  Degree& d = degrees_[degree_];
  if (d.plain_left > 0) --d.plain_left;
  if (d.plain_left > 0) return 1;
  const bool pays = d.gain > 0;
  if (pays ? d.gain + TextGain() <= 0 : !NextHigherDegreePays()) return 1;
  size_t slots = kPolicyTuning.trial_slots;
  if (pays || d.wait == 0) {
    const auto for_run = static_cast<size_t>(std::lround(kPolicyTuning.slots_per_run * d.run));
    slots = std::max(slots, for_run + kPolicyTuning.slots_beyond_run);
  }
  return std::min(slots, max_slots);
}

void DraftGate::ObserveDraft(const DraftOutcome& outcome) {
  Enter(outcome.net);
  Degree& d = degrees_[degree_];
  const double run =
      static_cast<double>(outcome.accepted) + (outcome.open ? kPolicyTuning.open_run_bonus : 0);
  d.run += kPolicyTuning.run_rate * (run - d.run);

  const double promise = outcome.promise;
  if (d.gain > 0) {
    text_gain_ += promise - d.gain;
    text_drafts_ += 1;
  }
  const bool trial = d.wait != 0 && d.gain <= 0;
  if (trial && outcome.reach >= kPolicyTuning.promising_reach) {
    // A trial is short, so that it costs little. Where its end is likely reached, a longer draft
    // may pay.
    d.gain = std::max(promise, kPolicyTuning.hoped_gain);
  } else if (trial && promise > 0) {
    d.gain = promise;
  } else {
    d.gain += kPolicyTuning.gain_rate * (promise - d.gain);
  }
  if (d.gain > 0) {
    if (promise > 0) d.wait = 0;  // a hoped gain alone does not shorten the next wait
  } else if (promise <= 0) {
    d.wait =
        d.wait == 0 ? kPolicyTuning.first_wait : std::min(2 * d.wait, kPolicyTuning.longest_wait);
    d.plain_left = d.wait;
  }
}

void DraftGate::Enter(double tokens) {
  credit_ = std::min(credit_ + tokens, kPolicyTuning.max_credit);
}

}  // namespace mach::spec
