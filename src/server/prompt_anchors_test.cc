#include "server/prompt_anchors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::server {
namespace {

using engine::Anchor;
using engine::PrefixKind;
using testing::ElementsAre;

TEST(PromptAnchors, LieBehindTheEndsOfTurns) {
  const std::vector<TokenId> prompt = {1, 5, 6, 2, 9, 1, 7, 2, 9, 1, 8, 3, 9, 1};
  const std::vector<TokenId> ends = {2, 3};
  EXPECT_THAT(PromptAnchors(prompt, ends, true),
              ElementsAre(Anchor{4, PrefixKind::kSystem}, Anchor{8, PrefixKind::kMessage},
                          Anchor{12, PrefixKind::kMessage}));
  EXPECT_THAT(PromptAnchors(prompt, ends, false),
              ElementsAre(Anchor{4, PrefixKind::kMessage}, Anchor{8, PrefixKind::kMessage},
                          Anchor{12, PrefixKind::kMessage}));
  EXPECT_TRUE(PromptAnchors(prompt, {}, true).empty());
}

}  // namespace
}  // namespace mach::server
