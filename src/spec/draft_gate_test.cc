#include "spec/draft_gate.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

constexpr float kCertain = 20;  // the highest degree
constexpr float kDoubtful = 1;  // the lowest
constexpr size_t kMaxSlots = 16;

size_t SlotsAt(DraftGate& gate, float certainty) {
  gate.BeginCycle(certainty);
  return gate.Slots(kMaxSlots);
}

// A draft that promises so many tokens, costs nothing, and fails at its first token.
DraftOutcome Promising(double promise, double reach = 0) {
  return {.promise = promise, .reach = reach};
}

// Cycles until the gate opens again, that one included.
size_t CyclesUntilOpen(DraftGate& gate, float certainty) {
  size_t cycles = 1;
  while (SlotsAt(gate, certainty) == 1 && cycles < 1000) ++cycles;
  return cycles;
}

TEST(DraftGate, DraftsTwiceTheExpectedRunAndTwoMore) {
  DraftGate gate;
  EXPECT_EQ(SlotsAt(gate, kCertain), 10u) << "2 * 4 + 2";
  gate.BeginCycle(kCertain);
  EXPECT_EQ(gate.Slots(5), 5u);
  // 4 + 0.3 * (9 - 4) = 5.5
  gate.ObserveDraft({.promise = 3, .accepted = 9});
  EXPECT_EQ(SlotsAt(gate, kCertain), 13u);
  // 5.5 + 0.3 * (3 + 2 - 5.5) = 5.35: nothing ended the run, so it counts as two more.
  gate.ObserveDraft({.promise = 3, .accepted = 3, .open = true});
  EXPECT_EQ(SlotsAt(gate, kCertain), 13u);
  // 5.35 + 0.3 * (0 - 5.35) = 3.745
  gate.ObserveDraft({.promise = 3});
  EXPECT_EQ(SlotsAt(gate, kCertain), 9u);
  EXPECT_EQ(SlotsAt(gate, kDoubtful), 10u) << "another degree";
}

TEST(DraftGate, AFailureWaitsAndEachFurtherOneTwiceAsLong) {
  DraftGate gate;
  SlotsAt(gate, kCertain);
  for (const size_t wait : {16u, 32u, 64u, 128u, 128u}) {
    gate.ObserveDraft(Promising(-1));
    EXPECT_EQ(CyclesUntilOpen(gate, kCertain), wait);
  }
  gate.BeginCycle(kCertain);
  EXPECT_EQ(gate.Slots(kMaxSlots), 4u) << "a trial";
}

TEST(DraftGate, OnlyCyclesOfTheDegreeCount) {
  DraftGate gate;
  SlotsAt(gate, kDoubtful);
  gate.ObserveDraft(Promising(-1));
  for (int i = 0; i < 50; ++i) {
    EXPECT_GT(SlotsAt(gate, 5), 1u);
    gate.ObserveDraft(Promising(1));
  }
  EXPECT_EQ(CyclesUntilOpen(gate, kDoubtful), 16u);
}

TEST(DraftGate, ATrialThatPaysOpensTheDegreeAtOnce) {
  DraftGate gate;
  SlotsAt(gate, kCertain);
  for (int i = 0; i < 5; ++i) gate.ObserveDraft(Promising(-4));  // gain is far below 0
  CyclesUntilOpen(gate, kCertain);
  gate.ObserveDraft(Promising(0.5));
  EXPECT_GT(SlotsAt(gate, kCertain), 1u);
  gate.ObserveDraft(Promising(-2));  // 0.5 + 0.4 * (-2 - 0.5) < 0
  EXPECT_EQ(CyclesUntilOpen(gate, kCertain), 16u) << "the wait began anew";
}

TEST(DraftGate, APromisingTrialIsFollowedByALongerDraft) {
  DraftGate gate;
  SlotsAt(gate, kCertain);
  gate.ObserveDraft(Promising(-1));
  EXPECT_EQ(CyclesUntilOpen(gate, kCertain), 16u);
  gate.ObserveDraft(Promising(-0.5, 0.5));  // likely accepted to its end: gain is hoped for
  EXPECT_GT(SlotsAt(gate, kCertain), 4u);
  gate.ObserveDraft(Promising(-1));  // 0.2 + 0.4 * (-1 - 0.2) < 0
  EXPECT_EQ(CyclesUntilOpen(gate, kCertain), 32u) << "hope does not shorten the wait";
}

TEST(DraftGate, ALowerDegreeIsTriedOnlyWhereTheNextHigherOnePays) {
  DraftGate gate;
  SlotsAt(gate, kCertain);
  gate.ObserveDraft(Promising(-1));
  EXPECT_EQ(SlotsAt(gate, kDoubtful), 1u);
  CyclesUntilOpen(gate, kCertain);
  gate.ObserveDraft(Promising(1));
  EXPECT_GT(SlotsAt(gate, kDoubtful), 1u);
  // A degree in between that was met and has gained nothing yet.
  EXPECT_GT(SlotsAt(gate, 5), 1u);
  EXPECT_EQ(SlotsAt(gate, kDoubtful), 1u);
}

TEST(DraftGate, ATextThatGainsLessThanItsDegreeIsLeftAlone) {
  DraftGate gate;
  for (int i = 0; i < 30; ++i) {
    SlotsAt(gate, kCertain);
    gate.ObserveDraft(Promising(2));
  }
  gate.BeginRequest();
  EXPECT_GT(SlotsAt(gate, kCertain), 1u);
  // Another degree's drafts promise less than its mean: -2 of 4, then -1 of 1.6. With one draft of
  // average gain the text's difference is about (-6 - 2.6 + 0) / 3 = -2.9, more than the 2 gained.
  for (const double promise : {10.0, -2.0, -1.0}) {
    SlotsAt(gate, 5);
    gate.ObserveDraft(Promising(promise));
  }
  EXPECT_EQ(SlotsAt(gate, kCertain), 1u);
  gate.BeginRequest();
  EXPECT_GT(SlotsAt(gate, kCertain), 1u) << "the next text";
}

TEST(DraftGate, ARequestShortensWaits) {
  DraftGate gate;
  SlotsAt(gate, kCertain);
  for (int i = 0; i < 4; ++i) gate.ObserveDraft(Promising(-1));  // waits 128 cycles
  gate.BeginRequest();
  EXPECT_EQ(CyclesUntilOpen(gate, kCertain), 48u);
}

TEST(DraftGate, TheAccountStartsWithFourTokensAndHoldsTwentyFour) {
  DraftGate gate;
  EXPECT_FALSE(gate.Overdraws(4));
  EXPECT_TRUE(gate.Overdraws(4.01));
  gate.ObserveDraft({.net = -3});
  EXPECT_TRUE(gate.Overdraws(1.01));
  for (int i = 0; i < 100; ++i) gate.ObservePlain();
  EXPECT_FALSE(gate.Overdraws(1.74)) << "a plain pass pays in 0.0075";
  EXPECT_TRUE(gate.Overdraws(1.76));
  gate.ObserveDraft({.net = 100});
  EXPECT_FALSE(gate.Overdraws(24));
  EXPECT_TRUE(gate.Overdraws(24.01));
}

}  // namespace
}  // namespace mach::spec
