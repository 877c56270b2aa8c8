#include "spec/policy_options.h"

#include <gmock/gmock.h>

namespace mach::spec {
namespace {

TEST(PolicyOptions, Names) {
  EXPECT_EQ(PolicyName(*ParsePolicy("opencode-sampled-v1")), "opencode-sampled-v1");
  EXPECT_EQ(ParsePolicy("fixed-16")->fixed, 16u);
  EXPECT_EQ(PolicyName(*ParsePolicy("fixed-1")), "fixed-1");
  for (const char* bad : {"", "fixed-0", "fixed-17", "fixed-", "fixed-1x", "fixed--1", "other"}) {
    const auto parsed = ParsePolicy(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_THAT(parsed.error().message, testing::HasSubstr("opencode-sampled-v1"));
  }
}

}  // namespace
}  // namespace mach::spec
