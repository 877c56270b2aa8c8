// The block policy by name.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "spec/draft_config.h"

namespace mach::spec {

struct PolicyOptions {
  size_t fixed = 0;  // rows of every block; 0: adaptive
  size_t max_block = kMaxBlock;
};

// "opencode-sampled-v1" (adaptive), or "fixed-N" with N from 1 to kMaxBlock.
Result<PolicyOptions> ParsePolicy(const std::string& name);
std::string PolicyName(const PolicyOptions& options);

}  // namespace mach::spec
