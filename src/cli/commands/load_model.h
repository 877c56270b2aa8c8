// From a checkpoint directory to what a server serves.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cli/options/options.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "residency/loaded_model.h"
#include "server/status/serving_facts.h"
#include "spec/draft_model.h"

namespace mach::cli {

struct ServingModel {
  std::shared_ptr<engine::Engine> engine;
  std::shared_ptr<const dialog::Codec> codec;
  server::ServingFacts facts;
  // For the start-up lines.
  size_t bank_slots = 0;  // with all experts in memory: all of them
  size_t floor_slots = 0;
  std::string isa;
  std::string compute;
  size_t threads = 0;
  std::string draft;         // the drafter's directory; empty: none
  std::string block_policy;  // its policy's name
  size_t block_size = 1;     // most rows of a verify pass
};

// What a load is told by the options of every command that loads a model. Looks at the free memory
// for the ceiling; fails when an explicit one does not fit.
Result<residency::LoadOptions> ToLoadOptions(const ModelOptions& options);

// Of a value of --direct-pread.
residency::DirectReads DirectReadsOf(std::string_view choice);

// The drafter that was asked for, else the checkpoint's own; an empty directory: none.
spec::DraftModelOptions FindDraft(io::FileSystem& fs, const ModelOptions& options,
                                  const DraftOptions& draft);

struct ServingOptions {
  ModelOptions model;
  DraftOptions draft;
  PrefixOptions prefix;
  size_t max_queue = 0;
};

// Reads everything; takes long. progress: false from it ends the load with kCancelled. clock
// outlives the model.
Result<ServingModel> LoadServingModel(const ServingOptions& options,
                                      const model::LoadProgress& progress, const Clock& clock);

}  // namespace mach::cli
