// What an engine takes of memory, from headers alone: what a load will do and what `mach check`
// reports.
#pragma once

#include <array>
#include <optional>

#include "base/memory_ledger.h"
#include "engine/open.h"
#include "residency/arrangement.h"
#include "residency/headers.h"
#include "spec/memory.h"

namespace mach::engine {

// What plans of one checkpoint have in common; measured once.
struct PlanInputs {
  const residency::Headers* headers = nullptr;  // outlives the plans
  residency::MemoryNeeds tensors;               // of residency::MeasureTensors
  std::optional<spec::DraftModel::Needs> draft;
  size_t ceiling = 0;  // bytes
  size_t free = 0;     // bytes of the machine's memory
};

struct MemoryPlan {
  residency::Arrangement model;
  spec::DecodeNeeds decode;  // at the chosen context
  size_t prefix_bytes = 0;   // of the prefix cache
  std::array<size_t, kMemoryTags> memory =
      {};  // bytes by tag, at the full context; zeros: see misfit
};

// Of the model alone, without what an engine needs beside it.
Result<MemoryPlan> PlanModel(const PlanInputs& inputs, const residency::ExpertsOnDisk* disk,
                             const OpenOptions& options);

// disk: where experts stream from, as options.experts asks for; null: all experts in memory.
// Fails as residency::Arrange does.
Result<MemoryPlan> Plan(const PlanInputs& inputs, const residency::ExpertsOnDisk* disk,
                        const OpenOptions& options);

}  // namespace mach::engine
