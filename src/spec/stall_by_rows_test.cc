#include "spec/stall_by_rows.h"

#include <cmath>

#include <gtest/gtest.h>

#include "spec/line_fit.h"

namespace mach::spec {
namespace {

// Misses of passes of 1 to 16 rows with a bank of a tenth of mach-tiny's recorded trace.
constexpr double kMisses[] = {28,  54,  74,  91,  95,  113, 120, 137,
                              140, 145, 150, 165, 168, 174, 176, 176};

TEST(StallByRows, FollowsAUnionThatGrowsLessAndLess) {
  StallByRows stall;
  EXPECT_EQ(stall.At(4), 0);
  LineFit line(0.5);
  for (size_t i = 0; i < 400; ++i) {
    const size_t rows = i * 7 % 16 + 1;
    stall.Add(rows, kMisses[rows - 1]);
    line.Add(static_cast<double>(rows), kMisses[rows - 1]);
  }
  for (size_t rows = 1; rows <= 16; ++rows) {
    EXPECT_NEAR(stall.At(rows), kMisses[rows - 1], 0.12 * kMisses[rows - 1]) << rows;
  }
  EXPECT_GT(line.At(1), 1.7 * kMisses[0]);  // why it is no line
}

TEST(StallByRows, WhatWasNotSeenFollowsFromNeighbours) {
  StallByRows stall;
  for (size_t i = 0; i < 50; ++i) {
    stall.Add(1, kMisses[0]);
    stall.Add(4, kMisses[3]);
  }
  for (const size_t rows : {2, 3, 6, 8}) {
    EXPECT_NEAR(stall.At(rows), kMisses[rows - 1], 0.25 * kMisses[rows - 1]) << rows;
  }
  // And it forgets.
  for (size_t i = 0; i < 200; ++i) stall.Add(4, 10);
  EXPECT_NEAR(stall.At(4), 10, 1);
}

}  // namespace
}  // namespace mach::spec
