#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr int64_t kMs = 1'000'000;
constexpr uint64_t kGib = uint64_t{1} << 30;

struct Shown {
  int64_t ms;
  std::string text;
};

// All that is written of work that reports every 10 ms for `ms`, evenly.
std::vector<Shown> Show(ProgressText& text, int64_t ms, uint64_t total) {
  std::vector<Shown> shown;
  for (int64_t at = 10; at <= ms; at += 10) {
    const uint64_t done = total / static_cast<uint64_t>(ms) * static_cast<uint64_t>(at);
    std::string out = text.Update(at * kMs, at == ms ? total : done, total);
    if (!out.empty()) shown.push_back({at, std::move(out)});
  }
  return shown;
}

TEST(Progress, ShortWorkIsSilent) {
  ProgressText lines("loading", ProgressUnit::kBytes, false, 0);
  EXPECT_TRUE(Show(lines, 990, kGib).empty());
  EXPECT_EQ(lines.End(), "");
  ProgressText bar("loading", ProgressUnit::kBytes, true, 0);
  EXPECT_TRUE(Show(bar, 240, kGib).empty());
  EXPECT_EQ(bar.End(), "");
}

TEST(Progress, LinesComeEveryTwoSecondsAndAtTheEnd) {
  ProgressText lines("loading", ProgressUnit::kBytes, false, 0);
  const auto shown = Show(lines, 8'000, 8 * kGib);
  std::vector<int64_t> times;
  for (const Shown& s : shown) {
    times.push_back(s.ms);
    EXPECT_EQ(s.text.back(), '\n');
    EXPECT_EQ(s.text.find('\r'), std::string::npos);
  }
  EXPECT_THAT(times, ElementsAre(1'000, 3'000, 5'000, 7'000, 8'000));
  EXPECT_EQ(shown[1].text, "loading: 37 % of 8.00 GiB, 1.00 GiB/s, 5.0 s left\n");
  EXPECT_EQ(shown.back().text, "loading: done, 8.00 GiB in 8.0 s, 1.00 GiB/s\n");
  // What is reported after the end is not shown again.
  EXPECT_EQ(lines.Update(20'000 * kMs, 8 * kGib, 8 * kGib), "");
}

TEST(Progress, WorkOfASecondHasItsLastLine) {
  ProgressText lines("writing", ProgressUnit::kBytes, false, 0);
  const auto shown = Show(lines, 1'000, kGib);
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_THAT(shown[0].text, StartsWith("writing: done, 1.00 GiB in 1.0 s"));
}

TEST(Progress, TokensAreNoBytes) {
  ProgressText lines("evaluating", ProgressUnit::kTokens, false, 0);
  EXPECT_EQ(lines.Update(2'000 * kMs, 500, 2'000),
            "evaluating: 25 % of 2000 tokens, 250 tokens/s, 6.0 s left\n");
}

TEST(Progress, ATerminalHasABarWithRateAndTime) {
  ProgressText bar("loading", ProgressUnit::kBytes, true, 0);
  const auto shown = Show(bar, 3'000, 3 * kGib);
  ASSERT_GT(shown.size(), 20u);
  EXPECT_EQ(shown[0].ms, 250);
  for (size_t i = 1; i + 1 < shown.size(); ++i) {
    EXPECT_GE(shown[i].ms - shown[i - 1].ms, 100);
    EXPECT_EQ(shown[i].text.front(), '\r');
    // A shorter bar covers what was there.
    EXPECT_GE(shown[i].text.size(), std::string("\rloading [").size() + 30);
  }
  EXPECT_THAT(shown.back().text, HasSubstr("[##############################] 100 %  1.00 GiB/s"));
  EXPECT_EQ(bar.End(), "\n");
  EXPECT_EQ(bar.End(), "");
}

TEST(Progress, NothingIsDividedByNothing) {
  ProgressText lines("loading", ProgressUnit::kBytes, false, 0);
  EXPECT_EQ(lines.Update(5'000 * kMs, 0, 0), "");
  EXPECT_EQ(lines.Update(5'000 * kMs, 0, 100), "loading: 0 % of 100 bytes, 0 bytes/s\n");
  EXPECT_THAT(lines.Update(9'000 * kMs, 200, 100), HasSubstr("done"));
}

}  // namespace
}  // namespace mach::cli
