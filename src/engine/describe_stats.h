// Statistics of the modules below, as the engine tells them. Any thread; nothing waits.
#pragma once

#include "engine/stats.h"
#include "experts/streaming_store.h"
#include "spec/speculators.h"

namespace mach::engine {

ExpertStats DescribeExperts(const experts::StreamingStore& store);
SpeculationStats DescribeSpeculation(const spec::Speculators& speculators);

}  // namespace mach::engine
