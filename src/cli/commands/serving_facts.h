// What a server says of how it serves: from the options and what was loaded.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "engine/open.h"
#include "server/status/serving_facts.h"

namespace mach::cli {

// Before the load, without reading more than whether there is a drafter.
server::ConfiguredServing ConfiguredFrom(const ModelOptions& options, const DraftOptions& draft);

// After it. Looks at the sidecar even where none is used.
server::ServingFacts FactsOf(const ModelOptions& options, const engine::OpenedEngine& opened);

}  // namespace mach::cli
