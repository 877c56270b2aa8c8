// How tokens come about, in the words of the statistics and of the header X-Decode-Mode.
#pragma once

#include <string_view>

#include "engine/engine.h"

namespace mach::server {

// What the engine can do: "specdec-v7" with a drafter, else "target-only".
std::string_view DecodePath(const engine::Info& info);

// The drafter's block policy; "off" without a drafter.
std::string_view AdaptiveBlockPolicy(const engine::Info& info);

// What the engine does for a request of that mode: "specdec", "ngram" or "target-only".
std::string_view DecodeMode(const engine::Info& info, engine::SpeculationMode mode);

}  // namespace mach::server
