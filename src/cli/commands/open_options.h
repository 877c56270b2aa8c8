// From the command line's options to those of engine::Open.
#pragma once

#include <string_view>

#include "base/result.h"
#include "cli/options/options.h"
#include "engine/open.h"
#include "residency/residency.h"

namespace mach::cli {

// Of a value of --direct-pread.
residency::DirectReads DirectReadsOf(std::string_view choice);

// All but what streams and the policy of blocks: what a plan and a load have in common.
engine::OpenOptions PlanOptionsFrom(const ModelOptions& model, const DraftOptions& draft);

// Warns when there are more threads than processors. kInvalidArgument when options contradict each
// other. prefix: null where the command has no prefix cache.
Result<engine::OpenOptions> OpenOptionsFrom(const ModelOptions& model, const DraftOptions& draft,
                                            const PrefixOptions* prefix, size_t max_queue);

}  // namespace mach::cli
