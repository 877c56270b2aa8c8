#include "spec/line_fit.h"

#include <algorithm>

#include "spec/policy_tuning.h"

namespace mach::spec {

void LineFit::Add(double rows, double ns) {
  if (weight_ != 0) ns = std::min(ns, kPolicyTuning.outlier * At(rows));
  const double x = rows - 1;
  for (double* sum : {&weight_, &x_, &y_, &xx_, &xy_}) *sum *= kPolicyTuning.time_decay;
  weight_ += 1;
  x_ += x;
  y_ += ns;
  xx_ += x * x;
  xy_ += x * ns;
  Solve();
}

// Least squares with a prior line through the mean, which counts as much as a spread of one row:
//
//   slope = (cov(x, y) + prior) / (var(x) + 1),  prior = p * mean(y) / (1 + p * mean(x))
//
// where p is slope_prior_. 0 <= slope <= max_slope_share * mean(y) / max(mean(x), 1).
void LineFit::Solve() {
  const double mean_x = x_ / weight_;
  const double mean_y = y_ / weight_;
  const double variance = xx_ / weight_ - mean_x * mean_x;
  const double covariance = xy_ / weight_ - mean_x * mean_y;
  const double prior = slope_prior_ * mean_y / (1 + slope_prior_ * mean_x);
  slope_ = std::max((covariance + prior) / (variance + 1), 0.0);
  slope_ = std::min(slope_, kPolicyTuning.max_slope_share * mean_y / std::max(mean_x, 1.0));
  base_ = mean_y - slope_ * mean_x;
}

}  // namespace mach::spec
