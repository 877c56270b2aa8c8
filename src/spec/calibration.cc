#include "spec/calibration.h"

namespace mach::spec {

void Calibration::Observe(float confidence, bool accepted) {
  Interval& i = intervals_[IntervalOf(kPolicyTuning.confidence_edges, confidence)];
  i.trials = i.trials * kPolicyTuning.trial_decay + 1;
  i.hits = i.hits * kPolicyTuning.trial_decay + (accepted ? 1 : 0);
}

double Calibration::Chance(float confidence) const {
  constexpr double kPrior = kPolicyTuning.prior_trials;
  const Interval& i = intervals_[IntervalOf(kPolicyTuning.confidence_edges, confidence)];
  return (i.hits + kPrior * static_cast<double>(confidence)) / (i.trials + kPrior);
}

}  // namespace mach::spec
