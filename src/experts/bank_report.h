// What a running bank says of itself.
#pragma once

#include <vector>

#include "experts/counters.h"
#include "experts/reuse_distances.h"
#include "experts/streaming_plan.h"

namespace mach::experts {

// Composes BankStats out of the counters, the plan and the reuse distances.
class BankReport {
 public:
  // Plans a bank of each size of `reuse`, which is null where the bank holds every expert. The
  // counters and `reuse` must outlive the report.
  BankReport(const Catalog& catalog, const StreamingOptions& options, const StreamingPlan& plan,
             const BankCounters& counters, const ReuseDistances* reuse);

  // Any thread.
  BankStats Snapshot() const;

 private:
  const StreamingPlan plan_;
  const BankCounters& counters_;
  const ReuseDistances* const reuse_;
  std::vector<BankSize> sizes_;  // without hits
};

}  // namespace mach::experts
