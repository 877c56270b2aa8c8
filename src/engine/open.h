// From a checkpoint directory to an engine that runs: the one recipe of the server, the commands,
// the benchmarks and the tests.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cache/disk_tier.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "io/file.h"
#include "kernels/table.h"
#include "model/weights.h"
#include "ops/context.h"
#include "residency/loaded_model.h"
#include "residency/residency.h"
#include "spec/block_policy.h"
#include "spec/draft_model.h"

namespace mach::engine {

// Of a drafter's dense matrices.
enum class DraftBits : unsigned char {
  kAuto,    // 8 when the model computes in int8, else as they are stored
  kStored,  // as they are
  k4,
  k8,
};

struct DraftOptions {
  bool enabled = true;    // false: no drafter, even where the checkpoint has one
  std::string directory;  // empty: the checkpoint's own, where there is one
  DraftBits bits = DraftBits::kAuto;
  spec::PolicyOptions policy;
};

struct PrefixOptions {
  size_t max_entries = 256;
  std::optional<size_t> max_bytes;  // nothing: residency::DefaultPrefixBytes
  size_t block_tokens = 64;         // see cache::PrefixCacheOptions
  std::optional<cache::DiskTierOptions> disk;
};

struct OpenOptions {
  std::string checkpoint;           // directory
  std::string model_id;             // what the model is served as; empty: by its directory's name
  size_t context_tokens = 0;        // 0: residency::DefaultContext
  size_t threads = 0;               // 0: as many of the processors as decode fastest
  size_t chunk_tokens = 256;        // of a prefill pass, at most
  std::optional<kernels::Isa> isa;  // nothing: the best
  ops::Compute compute = ops::Compute::kInt8;
  std::optional<size_t> memory_bytes;  // ceiling on all that is kept; nothing: ChooseCeiling
  size_t request_bytes = 0;            // of it, a server's, for requests and their answers
  std::optional<residency::ExpertOptions> experts;  // nothing: all experts in memory
  DraftOptions draft;
  std::optional<PrefixOptions> prefix;  // nothing: no prefix cache
  size_t max_queue = 64;                // requests that wait, besides the one that runs
};

struct OpenedEngine {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<const dialog::Codec> codec;
  const residency::LoadedModel* model = nullptr;  // the engine's
  std::shared_ptr<const spec::DraftModel> draft;  // the engine's, too; null: none
  // By memory tag: reserved, or reserved as a text grows, at the full context.
  std::array<size_t, kMemoryTags> memory = {};
  size_t bank_slots = 0;  // experts in memory at a time
  size_t floor_slots = 0;
};

// The drafter that the options ask for, else the checkpoint's own; an empty directory: none.
spec::DraftModelOptions FindDraft(io::FileSystem& fs, const OpenOptions& options);

// Reads everything; takes long. Small files are checked before the weights are read. progress: over
// the model and the drafter; false from it ends the load with kCancelled. fs and clock outlive the
// engine. Warns (base/log.h) of slow paths that the options allowed.
Result<OpenedEngine> Open(io::FileSystem& fs, const OpenOptions& options,
                          const model::LoadProgress& progress, const Clock& clock);

// The model alone, for whoever runs passes itself. Nothing is left for an engine's needs.
Result<std::unique_ptr<residency::LoadedModel>> OpenModel(io::FileSystem& fs,
                                                          const OpenOptions& options,
                                                          const model::LoadProgress& progress);

}  // namespace mach::engine
