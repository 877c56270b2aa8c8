#include "engine/prefix_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/prefix_point.h"

namespace mach::engine {
namespace {

using testing::ElementsAre;

constexpr size_t kMb = size_t{1} << 20;

std::vector<size_t> Positions(const std::vector<PrefixPoint>& points) {
  std::vector<size_t> at;
  for (const PrefixPoint& a : points) at.push_back(a.tokens);
  return at;
}

TEST(ChoosePrefixPoints, KeepsTheSystemPartAndTheLastMessages) {
  std::vector<PrefixPoint> points = {{50, PrefixKind::kSystem}};
  for (const size_t at : {100u, 150u, 200u, 250u, 300u}) points.push_back({at});
  PrefixPointChoice choice{.prompt_tokens = 305, .copy_bytes = 60 * kMb, .max_bytes = 1024 * kMb};
  EXPECT_THAT(Positions(ChoosePrefixPoints(points, choice)), ElementsAre(50, 250, 300));
  // Where states are small, all of them.
  choice.copy_bytes = kMb;
  EXPECT_THAT(Positions(ChoosePrefixPoints(points, choice)),
              ElementsAre(50, 100, 150, 200, 250, 300));
  // Not where each part of the prompt reads experts, nor where the last one serves for all.
  choice.parts_cost_reads = true;
  EXPECT_THAT(Positions(ChoosePrefixPoints(points, choice)), ElementsAre(50, 250, 300));
  choice.anywhere = true;
  EXPECT_THAT(Positions(ChoosePrefixPoints(points, choice)), ElementsAre(50, 300));
  choice.anywhere = choice.parts_cost_reads = false;
  // What is cached need not be kept again.
  choice.cached_tokens = 200;
  EXPECT_THAT(Positions(ChoosePrefixPoints(points, choice)), ElementsAre(250, 300));
}

TEST(ChoosePrefixPoints, MakesSenseOfAnyOrderAndRange) {
  const std::vector<PrefixPoint> points = {{90}, {0}, {30}, {91}, {30}, {200}};
  EXPECT_THAT(Positions(ChoosePrefixPoints(
                  points, {.prompt_tokens = 91, .copy_bytes = 1, .max_bytes = 1 << 20})),
              ElementsAre(30, 90, 91));
}

TEST(ChoosePrefixPoints, TextsGetTwo) {
  const auto at = [](size_t n, size_t cached) {
    return Positions(ChoosePrefixPoints({}, {.cached_tokens = cached, .prompt_tokens = n}));
  };
  EXPECT_THAT(at(200, 0), ElementsAre(192, 200));
  EXPECT_THAT(at(192, 0), ElementsAre(128, 192));
  EXPECT_THAT(at(200, 192), ElementsAre(200));
  EXPECT_THAT(at(40, 0), ElementsAre(40));
  EXPECT_TRUE(at(1, 0).empty());
}

}  // namespace
}  // namespace mach::engine
