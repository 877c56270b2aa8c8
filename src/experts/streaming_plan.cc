#include "experts/streaming_plan.h"

#include <algorithm>

#include "base/units.h"

namespace mach::experts {
namespace {

constexpr size_t kLeastWindow = 2;
constexpr size_t kMostWindow = 64;
// Share of the bank's size that staging may take by itself.
constexpr size_t kStagingShare = 8;

}  // namespace

Result<StreamingPlan> PlanStreaming(const Catalog& catalog, const StreamingOptions& options) {
  MACH_RETURN_IF_ERROR(ValidateCatalog(catalog));
  const size_t record = catalog.slot_bytes;
  const size_t all = catalog.RecordCount();
  StreamingPlan plan;
  plan.bank_slots = std::min(options.bank_bytes / record, all);
  plan.floor_slots = std::clamp<size_t>(options.floor_slots, 1, all);
  if (plan.bank_slots < plan.floor_slots) {
    return Error{Code::kInvalidArgument,
                 "an expert bank of " + BytesText(options.bank_bytes) + " holds " +
                     std::to_string(options.bank_bytes / record) + " experts of " +
                     BytesText(record) + ", but one token needs " +
                     std::to_string(plan.floor_slots) + "; raise --expert-cache-gb to at least " +
                     GigabytesUp(plan.floor_slots * record) +
                     ", and --wired-gb where it leaves less"};
  }
  plan.window = std::clamp(options.in_flight_bytes / record, kLeastWindow, kMostWindow);
  const bool staging = options.transient_prefill || options.prefetch != Prefetch::kOff;
  if (staging && plan.bank_slots < all) {
    size_t largest = 0;
    for (size_t i = 0; i < catalog.layers; ++i) {
      largest = std::max(largest, catalog.LayerRecords(i));
    }
    // Twice the window: one half computes while the other is read. More of it lets the disk work on
    // the next layer while this one's attention computes, up to a whole layer.
    const size_t least = 2 * plan.window;
    const size_t chosen = options.staging_bytes != 0 ? options.staging_bytes / record
                                                     : plan.bank_slots / kStagingShare;
    plan.staging_slots = std::min(std::max(chosen, least), largest + plan.window);
  }
  plan.bank_bytes = plan.bank_slots * record;
  plan.staging_bytes = plan.staging_slots * record;
  return plan;
}

Result<StreamingPlan> FitStreaming(const Catalog& catalog, StreamingOptions options,
                                   size_t available) {
  // Staging grows with the bank, never by more than the bank does, so what fits is a range.
  const size_t most = std::min(options.bank_bytes, available) / catalog.slot_bytes;
  size_t low = 0;  // fits, or is below the floor
  size_t high = std::min(most, catalog.RecordCount()) + 1;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    options.bank_bytes = middle * catalog.slot_bytes;
    const auto plan = PlanStreaming(catalog, options);
    const bool fits = !plan || plan->memory_bytes() <= available;
    (fits ? low : high) = middle;
  }
  options.bank_bytes = low * catalog.slot_bytes;
  return PlanStreaming(catalog, options);
}

}  // namespace mach::experts
