// Statistics of the modules below, as the engine tells them. Any thread; nothing waits.
#pragma once

#include "engine/stats.h"
#include "experts/streaming_store.h"
#include "spec/speculators.h"

namespace mach::engine {

// direct: how the reader was opened.
ExpertStats DescribeExperts(const experts::StreamingStore& store, bool direct);
SpeculationStats DescribeSpeculation(const spec::Speculators& speculators);

}  // namespace mach::engine
