// How a checkpoint fits under a ceiling of memory: decided from its headers, before anything large
// is read. What `mach check` reports and what a load does come from here.
#pragma once

#include <optional>

#include "model/config.h"
#include "residency/ceiling.h"
#include "residency/plan.h"
#include "residency/residency.h"

namespace mach::residency {

struct ArrangeOptions {
  PlanOptions pass;        // context_tokens 0: DefaultContext; max_rows: as asked for
  size_t ceiling = 0;      // bytes
  size_t free = SIZE_MAX;  // bytes of the machine's memory: no higher ceiling is advised
  ExpertOptions experts;   // of experts on disk
  OtherNeeds other;
  bool prefix_cache = false;           // a prefix cache takes its part, too
  std::optional<size_t> prefix_bytes;  // of it; nothing: DefaultPrefixBytes
};

struct Arrangement {
  PlanOptions pass;          // with the context, and at most as many rows
  MemoryNeeds needs;         // of all experts' format that will be used; with `decode`
  size_t least_experts = 0;  // bytes of experts in memory, at least, with staging
  // The longest context under the ceiling, everything else equal; at least the chosen one.
  size_t most_context_tokens = 0;
  std::optional<BankFit> bank;  // where experts stream and one fits
  // kNoMemory: the ceiling is too low; what is missing and what would fix it.
  std::optional<Error> misfit;
};

// tensors: of MeasureTensors. disk: where experts stream from; null: all experts in memory.
// Fails where the model has no such context, or its experts no such layout.
Result<Arrangement> Arrange(const model::ModelConfig& config, const MemoryNeeds& tensors,
                            const ExpertsOnDisk* disk, const ArrangeOptions& options);

}  // namespace mach::residency
