// The lines that `mach serve` prints when it is ready. People and scripts search them:
// docs/server.md has their keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "engine/open.h"
#include "server/status/serving_facts.h"

namespace mach::cli {

std::vector<std::string> StartLines(const ServeOptions& options, const engine::OpenedEngine& opened,
                                    const server::ServingFacts& facts);

// "serving on URL", and commands to try it with.
std::vector<std::string> ReadyLines(const ServeOptions& options, uint16_t port,
                                    const std::string& model_id);

}  // namespace mach::cli
