#include "experts/pass_rules.h"

#include <algorithm>

namespace mach::experts {
namespace {

// The last read of a layer begins when the first of the others lands, if those are this part of
// what may be in flight: a disk that reports a batch all at once leaves nothing to do meanwhile,
// and then a batch to verify and to compute. That takes longer than the pause of such a disk; one
// that reports each read still has enough to be busy with.
constexpr size_t kPartBeforeLast = 4;

// What is free of the layer's share, so that a cold bank gets warm; else staging.
std::optional<uint32_t> ClaimWithoutEviction(Bank& bank, ExpertKey key) {
  if (const auto slot = bank.ClaimShare(key)) return slot;
  return bank.ClaimStaging(key);
}

}  // namespace

//                        decode                 draft                      prefill
// eviction learns        at once                certain rows at once,      nothing
//                                               accepted ones at Commit
// hits are handed out    by Acquire             by Acquire                 when nothing has landed
// a miss is read into    a resident slot        certain rows: the same;    a free slot of the
//                                               others: a free resident    layer's share, else a
//                                               slot, a staged one, else   staged one
//                                               the same
// demand reads           the plan's window      the plan's window          the reader's depth
// the last of a layer    is held back           is held back               is not
// is prefetched          what routers predict,  the same                   the whole next layer,
//                        when the disk is idle                             beside demand
// a prefetch goes into   a staged slot          a staged slot              as a miss
// is handed out at once  all that has landed    all that has landed        the plan's window

PassKind KindOf(const ExpertPass& pass, const StreamingOptions& options, bool holds_all) {
  if (holds_all) return PassKind::kDecode;
  if (options.transient_prefill && pass.rows >= kTransientRows) return PassKind::kPrefill;
  return pass.draft ? PassKind::kDraft : PassKind::kDecode;
}

std::array<PassRules, 3> MakePassRules(const Catalog& catalog, const StreamingOptions& options,
                                       const StreamingPlan& plan, size_t depth,
                                       BankCounters& counters) {
  const size_t part_before_last = options.in_flight_bytes / kPartBeforeLast;
  PassRules decode;
  decode.reads = {
      .demand = plan.window,
      .prefetch = std::min(plan.window, depth),
      .total = depth,
      .hold_last_after = (part_before_last + catalog.slot_bytes - 1) / catalog.slot_bytes};
  decode.hits = &counters.hits;
  decode.misses = &counters.misses;
  decode.prefetch = &counters.prefetch;

  PassRules draft = decode;
  draft.kind = PassKind::kDraft;
  draft.holds_staged = true;

  PassRules prefill;
  prefill.kind = PassKind::kPrefill;
  prefill.learns = false;
  prefill.hits_first = false;
  prefill.uses_predictions = false;
  prefill.times_misses = false;
  prefill.part = plan.window;
  prefill.reads = {
      .demand = depth, .prefetch = depth, .total = depth, .prefetch_beside_demand = true};
  prefill.hits = &counters.transient_hits;
  prefill.misses = &counters.transient_misses;
  prefill.prefetch = &counters.read_ahead;
  return {decode, draft, prefill};
}

std::optional<uint32_t> PassRules::ClaimDemand(Bank& bank, ExpertKey key, bool certain) const {
  if (kind == PassKind::kPrefill) return ClaimWithoutEviction(bank, key);
  if (!certain) {
    // Displaces nothing as long as it may be rejected, where there is room.
    if (const auto slot = bank.ClaimFree(key)) return slot;
    if (const auto slot = bank.ClaimStaging(key)) return slot;
  }
  return bank.Claim(key);
}

std::optional<uint32_t> PassRules::ClaimPrefetch(Bank& bank, ExpertKey key) const {
  if (kind == PassKind::kPrefill) return ClaimWithoutEviction(bank, key);
  // As a resident it might be evicted before its layer comes; staging is its own.
  return bank.ClaimStaging(key);
}

}  // namespace mach::experts
