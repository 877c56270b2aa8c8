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

TEST(DraftSource, IsDecidedByModeAndDrafter) {
  struct Row {
    Mode mode;
    DraftSource without, with;
  };
  for (const auto& [mode, without, with] :
       {Row{Mode::kAuto, DraftSource::kNone, DraftSource::kDrafter},
        Row{Mode::kDFlash, DraftSource::kNone, DraftSource::kDrafter},
        Row{Mode::kNgram, DraftSource::kText, DraftSource::kText},
        Row{Mode::kSummarisation, DraftSource::kText, DraftSource::kText},
        Row{Mode::kClassification, DraftSource::kText, DraftSource::kText},
        Row{Mode::kOff, DraftSource::kNone, DraftSource::kNone}}) {
    EXPECT_EQ(DraftSourceOf(mode, false), without) << static_cast<int>(mode);
    EXPECT_EQ(DraftSourceOf(mode, true), with) << static_cast<int>(mode);
  }
}

}  // namespace
}  // namespace mach::spec
