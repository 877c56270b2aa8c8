#include "residency/streaming_setup.h"

#include <algorithm>

#include "base/units.h"
#include "io/async_reader.h"
#include "ops/ffn.h"

namespace mach::residency {
namespace {

constexpr size_t kLeastDepth = 64;
constexpr size_t kMostDepth = 2048;

Status CheckCatalog(const model::ModelConfig& config, const ops::ExpertLayout& layout,
                    const experts::Catalog& catalog) {
  const auto mismatch = [](const std::string& message) {
    return Error{Code::kCorrupt, "the experts on disk are not this model's: " + message +
                                     "; write the sidecar again with 'mach export-sidecar'"};
  };
  if (catalog.layers != config.layers.size()) {
    return mismatch(std::to_string(catalog.layers) + " layers, expected " +
                    std::to_string(config.layers.size()));
  }
  const size_t least = layout.down_offset() + layout.down.bytes();
  for (uint32_t i = 0; i < config.layers.size(); ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    const size_t expected = moe != nullptr ? moe->experts : 0;
    const size_t found = catalog.LayerRecords(i);
    if (found != expected || catalog.experts < expected) {
      return mismatch("layer " + std::to_string(i) + " has " + std::to_string(found) +
                      " experts, expected " + std::to_string(expected));
    }
    for (uint32_t e = 0; e < expected; ++e) {
      const experts::ExpertRecord& record = catalog.Record(LayerId(i), ExpertId(e));
      if (record.bytes >= least && record.bytes <= layout.record_bytes()) continue;
      return mismatch(catalog.Describe(catalog.Key(LayerId(i), ExpertId(e))) + ": " +
                      SizesText(record.bytes, layout.record_bytes()));
    }
  }
  return Ok();
}

}  // namespace

size_t FloorSlots(const model::ModelConfig& config) {
  size_t slots = 0;
  size_t most = 0;
  for (const model::LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) {
      slots += moe->top_k;
      most = std::max(most, moe->top_k);
    }
  }
  return slots + most;
}

// One half lands while the other is packed.
size_t SliceRecords(const experts::StreamingPlan& plan) { return 2 * plan.window; }

Result<std::unique_ptr<experts::StreamingStore>> MakeStreamingStore(
    const model::ModelConfig& config, const ops::ExpertLayout& layout,
    const StreamingSetup& streaming, MemoryLedger& ledger, ThreadPool& pool, const Clock& clock) {
  experts::StreamingOptions options = streaming.options;
  options.floor_slots = std::max(options.floor_slots, FloorSlots(config));
  MACH_TRY(const experts::StreamingPlan plan, experts::PlanStreaming(streaming.catalog, options));
  MACH_RETURN_IF_ERROR(CheckCatalog(config, layout, streaming.catalog));
  // So that all of staging can be asked for at once; the system has a window of it.
  const size_t parts =
      streaming.slices != nullptr ? SliceReader::ReadsPerRecord(*streaming.slices) : 1;
  const size_t records =
      streaming.slices != nullptr ? SliceRecords(plan) : plan.staging_slots + plan.window;
  const size_t depth = std::clamp(parts * records, kLeastDepth, kMostDepth);
  MACH_TRY(auto reader,
           io::AsyncReader::Create(
               streaming.read_mode,
               {.depth = depth, .at_once = parts * plan.window, .direct = streaming.direct}));
  if (streaming.wrap_reader) reader = streaming.wrap_reader(std::move(reader));
  if (streaming.slices != nullptr) {
    MACH_TRY(reader, SliceReader::Create(std::move(reader), streaming.slices,
                                         {.layout = layout,
                                          .stride = streaming.catalog.slot_bytes,
                                          .records = SliceRecords(plan)},
                                         ledger, pool));
  }
  return experts::MakeStreamingStore(streaming.catalog, options, std::move(reader), ledger, clock,
                                     &pool);
}

}  // namespace mach::residency
