#include "dialog/prefix_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/prefix_point.h"

namespace mach::dialog {
namespace {

using testing::ElementsAre;

TEST(PrefixPointsOf, LieBehindTheEndsOfTurns) {
  const std::vector<TokenId> prompt = {1, 5, 6, 2, 9, 1, 7, 2, 9, 1, 8, 3, 9, 1};
  const std::vector<TokenId> ends = {2, 3};
  EXPECT_THAT(PrefixPointsOf(prompt, ends, true),
              ElementsAre(PrefixPoint{4, PrefixKind::kSystem}, PrefixPoint{8, PrefixKind::kMessage},
                          PrefixPoint{12, PrefixKind::kMessage}));
  EXPECT_THAT(
      PrefixPointsOf(prompt, ends, false),
      ElementsAre(PrefixPoint{4, PrefixKind::kMessage}, PrefixPoint{8, PrefixKind::kMessage},
                  PrefixPoint{12, PrefixKind::kMessage}));
  EXPECT_TRUE(PrefixPointsOf(prompt, {}, true).empty());
}

}  // namespace
}  // namespace mach::dialog
