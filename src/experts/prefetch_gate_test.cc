#include "experts/prefetch_gate.h"

#include <gtest/gtest.h>

namespace mach::experts {
namespace {

constexpr size_t kTrial = PrefetchGate::kTurn * PrefetchGate::kTurns;

// Passes that take `with` or `without`, as the gate decides; gives how many prefetched.
size_t Passes(PrefetchGate& gate, int64_t& now, size_t n, int64_t with, int64_t without) {
  size_t prefetching = 0;
  for (size_t i = 0; i < n; ++i) {
    const bool on = gate.OnPass(now, 1);
    prefetching += on ? 1 : 0;
    now += on ? with : without;
  }
  return prefetching;
}

TEST(PrefetchGate, TakesTurnsThenKeepsWhatIsFaster) {
  for (const bool pays : {true, false}) {
    PrefetchGate gate;
    int64_t now = 5;
    EXPECT_EQ(Passes(gate, now, kTrial, pays ? 90 : 110, 100), kTrial / 2);
    EXPECT_EQ(Passes(gate, now, PrefetchGate::kHold, pays ? 90 : 110, 100),
              pays ? PrefetchGate::kHold : 0);
    EXPECT_EQ(gate.pays(), pays);
    // And changes its mind when times change.
    EXPECT_EQ(Passes(gate, now, kTrial, pays ? 110 : 90, 100), kTrial / 2);
    EXPECT_EQ(Passes(gate, now, PrefetchGate::kHold, pays ? 110 : 90, 100),
              pays ? 0 : PrefetchGate::kHold);
  }
}

TEST(PrefetchGate, ALittleIsNotWorthIt) {
  PrefetchGate gate;
  int64_t now = 0;
  Passes(gate, now, kTrial, 99, 100);
  EXPECT_EQ(Passes(gate, now, PrefetchGate::kHold, 99, 100), 0u);
}

TEST(PrefetchGate, PausesAndPassesOfOtherSizesDoNotCount) {
  PrefetchGate gate;
  int64_t now = 0;
  for (size_t i = 0; i < kTrial; ++i) {
    // Every fourth pass is another kind and takes long without guesses; a pause follows now and
    // then.
    const bool other = i % 4 == 3;
    const bool on = gate.OnPass(now, other ? 9 : 1);
    now += other ? (on ? 10 : 9000) : (on ? 110 : 100);
    if (i % 16 == 2) now += 1000000;
  }
  EXPECT_EQ(Passes(gate, now, 10, 110, 100), 0u);
}

}  // namespace
}  // namespace mach::experts
