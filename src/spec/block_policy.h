// How many rows each cycle drafts and verifies.
#pragma once

#include <cstdint>
#include <span>

#include "spec/calibration.h"
#include "spec/cost_model.h"
#include "spec/draft_gate.h"
#include "spec/policy_options.h"
#include "spec/proposer.h"

namespace mach::spec {

struct CycleResult {
  size_t drafted = 0;   // slots that were asked for, the anchor's included; 0: no draft
  size_t rows = 1;      // verified
  size_t accepted = 0;  // drafts, at most rows - 1
  bool cut = false;     // the answer ended after `accepted`: the next draft was not judged
  int64_t draft_ns = 0;
  int64_t verify_ns = 0;
  int64_t stall_ns = 0;  // part of verify_ns in which the pass waited for experts
};

// Gains are in tokens: what a cycle yields, less what plain decoding (one row a pass) would have
// yielded in its time. V(n) and D(n) are the times of CostModel, c_i is the calibrated chance that
// draft i is accepted given that all before it are. Then
//
//   reach_i = c_1 * ... * c_i                                  draft i is accepted
//   gain(n) = 1 + sum_{i < n} reach_i - V(n) / V(1)            n rows, the draft paid already
//   rows    = argmax_n gain(n)                                 1 where no gain is positive
//   promise = gain(rows) - D / V(1) - profit
//   net     = 1 + accepted - (D + V) / V(1)
//
// where D and V without an argument are the cycle's own times, bounded against outliers. With
// profit = 1, promise = sum_{i < rows} reach_i - (V(rows) + D) / V(1). The gate decides by promise
// and net whether the next cycles draft. A proposer that drafts in parts is asked for more after k
// drafts only while
//
//   reach_k * V(1) > V(k + 2) - V(k + 1)
//
// since reach_k is the most that the next draft can add. With PolicyOptions::fixed every block has
// that many rows.
//
// Reads no clock: times come in. Deterministic. Owned by one thread; lives across requests.
class BlockPolicy {
 public:
  explicit BlockPolicy(PolicyOptions options) : options_(options) {}

  void BeginRequest() { gate_.BeginRequest(); }
  // Slots to draft for, the anchor's included, at most `max_slots`; 1: decode plainly. certainty:
  // Certainty::Value of the target.
  size_t DraftSlots(size_t max_slots, float certainty);
  // Whether drafts after these can be worth a row.
  bool Wants(std::span<const Draft> so_far) const;
  // Rows to verify of the anchor and these drafts: 1 to drafts.size() + 1.
  size_t VerifyRows(std::span<const Draft> drafts);
  // drafts: the proposer's; the first result.rows - 1 were verified.
  void Observe(const CycleResult& result, std::span<const Draft> drafts);
  // Whether the last DraftSlots returned 1 because no draft would have paid.
  bool low() const { return low_; }

 private:
  // Cost of a draft in tokens.
  double DraftTokens(size_t slots) const { return costs_.DraftNs(slots) / costs_.VerifyNs(1); }

  const PolicyOptions options_;
  CostModel costs_;
  Calibration calibration_;
  DraftGate gate_;
  // gain(rows) of the last VerifyRows, and the chance that all of its drafts are accepted. A cycle
  // whose first draft is a stop token has no VerifyRows and is observed with the last one's values.
  double gain_ = 0;
  double reach_ = 0;
  size_t drafts_since_forced_plain_ = 0;
  bool low_ = false;
};

}  // namespace mach::spec
