// How a model's experts come from disk.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "experts/streaming_store.h"
#include "io/async_reader.h"
#include "model/config.h"
#include "ops/ffn.h"
#include "residency/slice_reader.h"

namespace mach::residency {

struct StreamingSetup {
  experts::Catalog catalog;
  // When the catalog's experts are read from the checkpoint's tensors.
  std::shared_ptr<const SourceSlices> slices;
  experts::StreamingOptions options;  // floor_slots is raised to FloorSlots
  io::ReadMode read_mode = io::ReadMode::kIoUring;
  bool direct = true;  // false only where a slow path was asked for
  // Why the experts are the checkpoint's and not a sidecar's, which was asked for; empty: they are
  // from where they were asked for.
  std::string sidecar_problem;
  // For tests: takes the reader and gives one that works through it.
  std::function<std::unique_ptr<io::AsyncReader>(std::unique_ptr<io::AsyncReader>)> wrap_reader;
};

// Experts of one token: top_k of every layer, and of one layer more, whose reads run while the
// token's other layers stay. Fewer would make each layer evict what the next token needs first.
size_t FloorSlots(const model::ModelConfig& config);

// Experts of the checkpoint's tensors that may be on their way at a time.
size_t SliceRecords(const experts::StreamingPlan& plan);

// Checks that the catalog has every expert of the config in this layout, and opens the store. The
// ledger, the pool and the clock outlive it.
Result<std::unique_ptr<experts::StreamingStore>> MakeStreamingStore(
    const model::ModelConfig& config, const ops::ExpertLayout& layout,
    const StreamingSetup& streaming, MemoryLedger& ledger, ThreadPool& pool, const Clock& clock);

}  // namespace mach::residency
