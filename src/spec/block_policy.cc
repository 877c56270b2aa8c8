#include "spec/block_policy.h"

#include <algorithm>

#include "spec/policy_tuning.h"

namespace mach::spec {

size_t BlockPolicy::DraftSlots(size_t max_slots, float certainty) {
  low_ = false;
  max_slots = std::min(max_slots, options_.max_block);
  if (options_.fixed != 0) return std::min(options_.fixed, max_slots);
  if (max_slots < 2) return 1;
  gate_.BeginCycle(certainty);
  if (!costs_.measured() || drafts_since_forced_plain_ >= kPolicyTuning.plain_every) {
    drafts_since_forced_plain_ = 0;
    return 1;
  }
  const size_t slots = gate_.Slots(max_slots);
  low_ = slots == 1 || gate_.Overdraws(DraftTokens(slots));
  return low_ ? 1 : slots;
}

bool BlockPolicy::Wants(std::span<const Draft> so_far) const {
  if (options_.fixed != 0 || !costs_.measured()) return true;
  double reach = 1;
  for (const Draft& draft : so_far) reach *= calibration_.Chance(draft.confidence);
  const size_t rows = so_far.size() + 1;
  return reach * costs_.VerifyNs(1) > costs_.VerifyNs(rows + 1) - costs_.VerifyNs(rows);
}

size_t BlockPolicy::VerifyRows(std::span<const Draft> drafts) {
  if (options_.fixed != 0 || !costs_.measured()) return drafts.size() + 1;
  const double plain_ns = costs_.VerifyNs(1);
  reach_ = 1;
  gain_ = 0;
  double tokens = 1;
  size_t best_rows = 1;
  for (size_t i = 0; i < drafts.size(); ++i) {
    const size_t rows = i + 2;
    reach_ *= calibration_.Chance(drafts[i].confidence);
    tokens += reach_;
    const double gain = tokens - costs_.VerifyNs(rows) / plain_ns;
    if (gain > gain_) {
      gain_ = gain;
      best_rows = rows;
    }
  }
  return best_rows;
}

void BlockPolicy::Observe(const CycleResult& result, std::span<const Draft> drafts) {
  costs_.ObservePass(result.rows, result.verify_ns, result.stall_ns);
  if (result.drafted == 0) {
    gate_.ObservePlain();
    return;
  }
  costs_.ObserveDraft(result.drafted, result.draft_ns);
  ++drafts_since_forced_plain_;

  const size_t verified = result.rows - 1;
  const size_t judged = std::min(verified, result.accepted + (result.cut ? 0 : 1));
  for (size_t i = 0; i < judged; ++i) {
    calibration_.Observe(drafts[i].confidence, i < result.accepted);
  }

  // Times count as at most `outlier` times what was expected.
  const double plain_ns = costs_.VerifyNs(1);
  const auto spent_ns = static_cast<double>(result.draft_ns + result.verify_ns);
  const double spent =
      std::min(spent_ns / plain_ns, kPolicyTuning.outlier * static_cast<double>(result.rows));
  const double draft_cost = std::min(static_cast<double>(result.draft_ns) / plain_ns,
                                     kPolicyTuning.outlier * DraftTokens(result.drafted));
  gate_.ObserveDraft({.net = static_cast<double>(result.accepted) + 1 - spent,
                      .promise = gain_ - draft_cost - kPolicyTuning.profit,
                      .reach = reach_,
                      .accepted = result.accepted,
                      .open = result.accepted == verified || result.cut});
}

}  // namespace mach::spec
