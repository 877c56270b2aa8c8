#include "spec/cost_model.h"

#include <algorithm>

#include "spec/policy_tuning.h"

namespace mach::spec {

CostModel::CostModel() : verify_(kPolicyTuning.verify_slope), draft_(kPolicyTuning.draft_slope) {}

void CostModel::ObservePass(size_t rows, int64_t verify_ns, int64_t stall_ns) {
  const auto stalled = static_cast<double>(stall_ns);
  const double pass_ns = static_cast<double>(verify_ns) - stalled;
  if (rows == 1) {
    if (plain_ns_ == 0) plain_ns_ = pass_ns;
    plain_ns_ += kPolicyTuning.plain_rate *
                 (std::min(pass_ns, kPolicyTuning.outlier * plain_ns_) - plain_ns_);
  } else {
    verify_.Add(static_cast<double>(rows), pass_ns);
  }
  // The first passes fill an empty bank, so their stalls are no sign of later ones.
  const double max_stall = plain_ns_ == 0 ? stalled : kPolicyTuning.outlier * VerifyNs(rows);
  stall_.Add(rows, std::min(stalled, max_stall));
}

void CostModel::ObserveDraft(size_t slots, int64_t draft_ns) {
  draft_.Add(static_cast<double>(slots), static_cast<double>(draft_ns));
}

double CostModel::VerifyNs(size_t rows) const {
  const double stall = stall_.At(rows);
  if (rows == 1) return plain_ns_ + stall;
  const auto n = static_cast<double>(rows);
  const double pass =
      verify_.empty() ? plain_ns_ * (1 + kPolicyTuning.verify_slope * (n - 1)) : verify_.At(n);
  return std::max(pass, plain_ns_) + stall;
}

double CostModel::DraftNs(size_t slots) const {
  return draft_.empty() ? VerifyNs(1) : draft_.At(static_cast<double>(slots));
}

}  // namespace mach::spec
