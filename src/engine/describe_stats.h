// Statistics of the modules below, as the engine tells them. Any thread; nothing waits.
#pragma once

#include "engine/stats.h"
#include "experts/streaming_store.h"
#include "spec/speculation_modes.h"

namespace mach::engine {

ExpertStats DescribeExperts(const experts::StreamingStore& store);
SpeculationStats DescribeSpeculation(const spec::SpeculationModes& modes);

}  // namespace mach::engine
