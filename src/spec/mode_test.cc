#include "spec/mode.h"

#include <gtest/gtest.h>

namespace mach::spec {
namespace {

TEST(Mode, Names) {
  EXPECT_EQ(ModeFromName("auto"), Mode::kAuto);
  EXPECT_EQ(ModeFromName("dflash"), Mode::kDFlash);
  EXPECT_EQ(ModeFromName("ngram"), Mode::kNgram);
  EXPECT_EQ(ModeFromName("summarisation"), Mode::kSummarisation);
  EXPECT_EQ(ModeFromName("summarization"), Mode::kSummarisation);
  EXPECT_EQ(ModeFromName("classification"), Mode::kClassification);
  EXPECT_EQ(ModeFromName("off"), Mode::kOff);
  EXPECT_EQ(ModeFromName("on"), std::nullopt);
  EXPECT_EQ(ModeFromName(""), std::nullopt);
}

}  // namespace
}  // namespace mach::spec
