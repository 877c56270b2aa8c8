// Fault loops.
#pragma once

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace mach::test {

// Calls attempt(n, persistent) for n = 1, 2, ... until it gives false, which says that there was no
// Nth fault any more: first with faults that happen once, then with persistent ones. Gives how many
// there were, the last time. A fatal failure ends it.
template <class F>
uint64_t ForEachFault(const std::string& what, F attempt) {
  constexpr uint64_t kMost = 1000;
  uint64_t faults = 0;
  for (const bool persistent : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      SCOPED_TRACE(what + " " + std::to_string(n) + (persistent ? " and all later ones" : ""));
      if (n > kMost) {
        ADD_FAILURE() << "there is no end to them";
        return n;
      }
      faults = n - 1;
      const bool failed = attempt(n, persistent);
      if (testing::Test::HasFatalFailure()) return faults;
      if (!failed) break;
    }
  }
  return faults;
}

}  // namespace mach::test
