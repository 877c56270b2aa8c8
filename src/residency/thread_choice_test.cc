#include "residency/thread_choice.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::residency {
namespace {

using testing::ElementsAre;

// What is chosen where a token takes so long with each number of threads, and what was tried.
struct Found {
  size_t threads = 0;
  std::vector<size_t> tried;
};
Found ChooseOf(size_t most, const std::map<size_t, int64_t>& token_ns) {
  Found found;
  found.threads = ChooseThreads(most, [&](size_t threads) {
                    found.tried.push_back(threads);
                    return token_ns.at(threads);
                  }).threads;
  return found;
}

TEST(ChooseThreads, TakesAllWhereTheyAreFastest) {
  const Found found = ChooseOf(8, {{8, 1000}, {4, 1800}, {2, 3500}, {1, 7000}});
  EXPECT_EQ(found.threads, 8u);
  EXPECT_THAT(found.tried, ElementsAre(8, 4));  // half as many are clearly slower
}

TEST(ChooseThreads, TakesOneWhereTwoMeetTooSlowly) {
  const Found found = ChooseOf(2, {{2, 1400}, {1, 1000}});
  EXPECT_EQ(found.threads, 1u);
  EXPECT_THAT(found.tried, ElementsAre(2, 1, 2));  // the loser once more
}

TEST(ChooseThreads, ADelayOfOneMomentDoesNotDecide) {
  int times = 0;
  const ThreadChoice choice = ChooseThreads(
      2, [&](size_t threads) { return threads == 2 ? (++times == 1 ? 5000 : 700) : 1000; });
  EXPECT_EQ(choice.threads, 2u);
}

TEST(ChooseThreads, MoreWinATie) {
  EXPECT_EQ(ChooseOf(4, {{4, 1080}, {2, 1000}, {1, 1100}}).threads, 4u);
}

TEST(ChooseThreads, GoesOnPastAFlatPart) {
  const Found found = ChooseOf(8, {{8, 2000}, {4, 2100}, {2, 1500}, {1, 1600}});
  EXPECT_EQ(found.threads, 2u);
  EXPECT_THAT(found.tried, ElementsAre(8, 4, 2, 1, 8, 4));
}

TEST(ChooseThreads, CountsThatAreNoPowersOfTwo) {
  EXPECT_THAT(ChooseOf(6, {{6, 900}, {3, 1000}, {1, 1100}}).tried, ElementsAre(6, 3, 1));
  EXPECT_THAT(ChooseOf(1, {{1, 900}}).tried, ElementsAre(1));
}

TEST(ChooseThreads, IsSaidWithWhatWasMeasured) {
  const ThreadChoice choice =
      ChooseThreads(2, [](size_t threads) { return threads == 2 ? 1310000 : 804000; });
  EXPECT_EQ(ToText(choice, 2), "1 of 2 threads (2: 1.31 ms, 1: 0.80 ms a token)");
  EXPECT_EQ(ToText({.threads = 3}, 3), "3 of 3 threads");
}

}  // namespace
}  // namespace mach::residency
