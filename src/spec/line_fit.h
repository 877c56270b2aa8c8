// A straight line through measured times.
#pragma once

namespace mach::spec {

// Time over rows: At(n) = base + slope * (n - 1). Newer measurements weigh more
// (PolicyTuning::time_decay). Owned by one thread.
class LineFit {
 public:
  // slope_prior: slope / base while only one number of rows was measured.
  explicit LineFit(double slope_prior) : slope_prior_(slope_prior) {}
  void Add(double rows, double ns);
  bool empty() const { return weight_ == 0; }
  double At(double rows) const { return base_ + slope_ * (rows - 1); }

 private:
  void Solve();

  const double slope_prior_;
  double weight_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;  // decayed sums, x = rows - 1, y = ns
  double base_ = 0, slope_ = 0;
};

}  // namespace mach::spec
