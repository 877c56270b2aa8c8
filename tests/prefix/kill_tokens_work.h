// What the killed engine and its judge have in common.
#pragma once

#include "chat_engine.h"

namespace mach::test {

inline constexpr size_t kKillAgents = 6;

// Budgets for a few of the states: everything is evicted all the time, and restored from disk.
inline ChatEngineOptions KillEngine(const std::string& directory) {
  return {.max_entries = 3,
          .max_bytes = size_t{4} << 20,
          .disk = directory,
          .disk_budget = uint64_t{10} << 20};
}

}  // namespace mach::test
