#include "cache/prefix_counters.h"

namespace mach::cache {

std::string_view MissReasonName(MissReason reason) {
  constexpr std::array<std::string_view, 4> kNames = {"empty", "nothing_alike", "diverged",
                                                      "no_state"};
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace mach::cache
