// The tuning constants of the block policy.
#pragma once

#include <array>
#include <cstddef>

namespace mach::spec {

// Each member says its unit and its origin. "By hand": chosen by judgement, and measured only
// together with all others, by the speeds in docs/performance.md, "Speculation on mach-tiny". A
// token, as a unit of cost, is the time of a plain pass (one row).
struct PolicyTuning {
  // ---- LineFit, StallByRows, CostModel ----
  // The weight of a time shrinks by this factor with each later one, to a half after 23. By hand.
  double time_decay = 0.97;
  // A time counts as at most this multiple of what was expected: other processes preempt passes. By
  // hand.
  double outlier = 3;
  // Share of the newest plain pass in the mean of plain passes. By hand.
  double plain_rate = 0.1;
  // Cost of a further row, in plain passes, until passes of several rows are measured. By hand.
  double verify_slope = 0.5;
  // Cost of a further slot of a draft, in drafts of one slot, until two lengths are measured. By
  // hand.
  double draft_slope = 0.06;
  // The slope's part in the mean time of passes is at most this, so that a pass of one row costs
  // something. By hand.
  double max_slope_share = 0.9;
  // Misses of r rows over those of one: r to this power. Measured on bench/traces/mach-tiny.trace
  // with banks of a tenth to a half: 0.66 to 0.93. docs/decisions/002.
  double union_power = 0.8;
  // Measurements of s rows count for r rows with weight (min(r, s) / max(r, s)) to this power. By
  // hand.
  double neighbor_power = 8;
  // Drafts between two forced plain passes, which keep the price of plain passes known. By hand.
  size_t plain_every = 48;

  // ---- Calibration ----
  // Ascending bounds of the intervals of confidence. Narrow near 1, where long blocks are decided.
  // By hand.
  std::array<float, 11> confidence_edges = {0.1f, 0.2f, 0.3f, 0.4f,  0.5f, 0.6f,
                                            0.7f, 0.8f, 0.9f, 0.96f, 0.99f};
  // The weight of a trial shrinks by this factor with each later one of its interval, to a half
  // after 138. By hand.
  double trial_decay = 0.995;
  // Trials that the proposer's own confidence counts as. By hand.
  double prior_trials = 4;

  // ---- DraftGate: degrees of certainty ----
  // Ascending bounds, in logits (Certainty::Value). Measured: mean accepted drafts rise from 0.2
  // below 2 to 14.4 from 16; docs/decisions/003.
  std::array<float, 9> certainty_edges = {2, 4, 6, 7, 8, 9, 10, 11, 12};
  // Accepted drafts that a degree expects before its first draft. By hand.
  double first_run = 4;
  // Share of the newest draft in the mean of accepted drafts. By hand.
  double run_rate = 0.3;
  // Accepted drafts that are added where no draft was rejected: a longer block might have had more.
  // By hand.
  double open_run_bonus = 2;
  // Slots of a draft: slots_per_run times the expected accepted drafts, and slots_beyond_run more.
  // By hand.
  double slots_per_run = 2;
  size_t slots_beyond_run = 2;
  // Share of the newest promise in a degree's gain. By hand.
  double gain_rate = 0.4;
  // Tokens that a draft must promise beyond its cost. What a draft leaves behind is not in its own
  // time (a tape to replay, caches and bank hold other data than plain passes want), and promises
  // are uncertain in a new text. By hand.
  double profit = 1;

  // ---- DraftGate: trials of a degree that does not pay ----
  // Slots of a trial, the anchor's included. By hand.
  size_t trial_slots = 4;
  // A trial that is accepted to its end with at least this chance is called promising; its degree
  // then has at least hoped_gain tokens of gain. By hand.
  double promising_reach = 0.5;
  double hoped_gain = 0.2;
  // Cycles of the degree before the next trial: after the first failure, doubled by each further
  // one up to longest_wait, and no more than new_request_wait when a request begins. By hand.
  size_t first_wait = 16;
  size_t longest_wait = 128;
  size_t new_request_wait = 48;

  // ---- DraftGate: the text ----
  // The weight of a draft of the text shrinks by this factor each cycle, to a half after 34, so
  // that a long text is tried again. By hand.
  double text_decay = 0.98;
  // Drafts of average gain that a text begins with. By hand.
  double text_prior = 1;

  // ---- DraftGate: the account, in tokens ----
  // Added by each plain pass: the share of speed that drafting may cost where it never pays. By
  // hand.
  double loss_share = 0.0075;
  // Balance at the start. By hand.
  double first_credit = 4;
  // Largest balance, more than one rejected block costs: with 4, such a block stopped drafting for
  // hundreds of tokens in texts where it pays. By hand.
  double max_credit = 24;
};

inline constexpr PolicyTuning kPolicyTuning;

// The interval of ascending edges that value lies in: 0 below the first, N from the last on.
template <size_t N>
constexpr size_t IntervalOf(const std::array<float, N>& edges, float value) {
  size_t i = 0;
  while (i < N && value >= edges[i]) ++i;
  return i;
}

}  // namespace mach::spec
