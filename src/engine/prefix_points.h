// Where in a prompt its state is worth keeping.
#pragma once

#include <cstddef>
#include <vector>

#include "base/prefix_point.h"

namespace mach::engine {

struct PrefixPointChoice {
  size_t cached_tokens = 0;  // of the prompt, that are restored
  size_t prompt_tokens = 0;
  size_t copy_bytes = 0;  // of one state
  size_t max_bytes = 0;   // of the cache
  bool anywhere = false;  // a state serves every prefix of its tokens
  // The prompt is cut at each point, and each part reads experts from disk anew.
  bool parts_cost_reads = false;
};

// Those to keep, in rising order: the end of the system part, the last two messages, and further
// ones backwards as long as they take little of the cache and cost no reads; of states that serve
// anywhere the last one. A prompt without points gets two: its
// end, and one before, since another prompt's tokens may differ at its very end.
std::vector<PrefixPoint> ChoosePrefixPoints(std::vector<PrefixPoint> points,
                                            const PrefixPointChoice& choice);

}  // namespace mach::engine
