// How many slots the bytes for streamed experts make.
#pragma once

#include <cstddef>

#include "base/aligned_memory.h"
#include "base/result.h"
#include "experts/catalog.h"
#include "experts/eviction.h"

namespace mach::experts {

// Prefetch by the routers' predictions: never, where a trial shows that it pays, or always.
enum class Prefetch : unsigned char { kOff, kAuto, kOn };

struct StreamingOptions {
  size_t bank_bytes = 0;  // ceiling of the bank, not of staging
  // Fewer slots are refused. The working set of one token: below it a cyclic walk through the
  // layers evicts each expert before its next use.
  size_t floor_slots = 1;
  Eviction eviction = Eviction::kLookahead;
  bool pin_hot = false;  // the hottest experts of each layer stay, in up to half of the bank
  // Passes of kTransientRows tokens or more go through staging and displace nothing.
  bool transient_prefill = true;
  Prefetch prefetch = Prefetch::kAuto;
  // Demand reads under way. Those of transient passes go beyond it, to the reader's depth.
  size_t in_flight_bytes = size_t{16} << 20;
  size_t staging_bytes = 0;  // 0: chosen by PlanStreaming
};

// Verification of drafts (16 tokens at most) stays in the bank.
inline constexpr size_t kTransientRows = 32;

// How bytes become slots.
struct StreamingPlan {
  size_t bank_slots = 0;
  size_t staging_slots = 0;
  size_t floor_slots = 0;
  // Demand reads in flight at most, but for transient passes, which read into all of staging; of
  // those, the records that are handed out together.
  size_t window = 0;
  size_t bank_bytes = 0;
  size_t staging_bytes = 0;
  // Both, with what fills the last huge page.
  size_t memory_bytes() const { return WholeHugePages(bank_bytes + staging_bytes); }
};

// kInvalidArgument when the bank is below its floor, with both numbers. A bank that can hold every
// expert needs no staging, nor does one without transient passes and prefetch.
Result<StreamingPlan> PlanStreaming(const Catalog& catalog, const StreamingOptions& options);

// The plan with the most slots whose bank and staging fit into `available` bytes together, and
// whose bank is no larger than options.bank_bytes. kInvalidArgument when that is below the floor.
Result<StreamingPlan> FitStreaming(const Catalog& catalog, StreamingOptions options,
                                   size_t available);

}  // namespace mach::experts
