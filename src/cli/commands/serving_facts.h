// What a server says of how it serves: from the options and what was loaded.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "residency/loaded_model.h"
#include "server/status/serving_facts.h"

namespace mach::cli {

// Before the load, without reading more than whether there is a drafter.
server::ConfiguredServing ConfiguredFrom(const ModelOptions& options, const DraftOptions& draft);

// After it, without the memory. Looks at the sidecar even where none is used.
server::ServingFacts FactsOf(const ModelOptions& options, const residency::LoadedModel& model);

// A warning for each slow path that the diagnostic switch allowed.
void WarnOfSlowPaths(const residency::LoadedModel& model);

}  // namespace mach::cli
