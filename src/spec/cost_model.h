// What passes and drafts cost, by their number of rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "spec/line_fit.h"
#include "spec/stall_by_rows.h"

namespace mach::spec {

// Time of a pass of n rows, V(n), and of a draft of n slots, D(n):
//
//   V(1) = plain + stall(1)
//   V(n) = max(verify(n), plain) + stall(n)   for n > 1
//   D(n) = draft(n)
//
// plain is a moving mean, verify and draft are straight lines, all three without the time that a
// pass waited for experts; stall is StallByRows. Times come in: it reads no clock. Owned by one
// thread.
class CostModel {
 public:
  CostModel();

  // A pass of `rows` rows took verify_ns; for stall_ns of it, it waited for experts.
  void ObservePass(size_t rows, int64_t verify_ns, int64_t stall_ns);
  // A draft of `slots` slots, the anchor's included, took draft_ns.
  void ObserveDraft(size_t slots, int64_t draft_ns);

  // Whether a plain pass (one row) was measured. Until then the times below are not meaningful.
  bool measured() const { return plain_ns_ != 0; }
  double VerifyNs(size_t rows) const;
  // Before the first draft VerifyNs(1).
  double DraftNs(size_t slots) const;

 private:
  double plain_ns_ = 0;  // 0: not measured
  LineFit verify_;       // passes of two rows or more
  LineFit draft_;
  StallByRows stall_;
};

}  // namespace mach::spec
