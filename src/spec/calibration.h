// What a proposer's confidences are worth.
#pragma once

#include <array>

#include "spec/policy_tuning.h"

namespace mach::spec {

// Corrects confidences by how often drafts of such confidence were accepted. For a confidence q in
// an interval with `trials` decayed trials, `hits` of which were accepted,
//
//   chance(q) = (hits + prior_trials * q) / (trials + prior_trials)
//
// so that an interval without trials has the proposer's own confidence. Owned by one thread.
class Calibration {
 public:
  // A draft was judged: all drafts before it in its block were accepted, and the target chose the
  // token at its position.
  void Observe(float confidence, bool accepted);
  // The chance that a draft is accepted, given that all before it are.
  double Chance(float confidence) const;

 private:
  struct Interval {
    double trials = 0;
    double hits = 0;
  };
  std::array<Interval, kPolicyTuning.confidence_edges.size() + 1> intervals_ = {};
};

}  // namespace mach::spec
