// All combinations of the ways to hold the experts: the tokens are the same (DESIGN promise 1).
#include <cstdio>

#include "streaming_setting.h"

namespace mach::test {
namespace {

using StreamingMatrix = StreamingTest;

std::vector<Setting> AllSettings() {
  using experts::Eviction;
  using experts::Prefetch;
  std::vector<Setting> all;
  for (const double bank : {0.0, 0.25, 0.5, 1.0}) {
    for (const Eviction eviction : {Eviction::kLookahead, Eviction::kLru, Eviction::kLfu}) {
      for (const io::ReadMode mode : {io::ReadMode::kIoUring, io::ReadMode::kPread}) {
        for (const Prefetch prefetch : {Prefetch::kOff, Prefetch::kOn}) {
          for (const size_t threads : {1, 2}) {
            for (const size_t chunk : {16, 64, 512}) {
              for (const bool shuffled : {false, true}) {
                all.push_back({.bank = bank,
                               .eviction = eviction,
                               .mode = mode,
                               .prefetch = prefetch,
                               .shuffle = shuffled ? all.size() + 1 : 0,
                               .threads = threads,
                               .chunk = chunk});
              }
            }
          }
        }
      }
    }
  }
  return all;
}

TEST_F(StreamingMatrix, TheTokensAreTheSameInEverySetting) {
  const std::vector<Setting> settings = AllSettings();
  ASSERT_EQ(settings.size(), 576u);
  const size_t ran = ExpectSameTokens(settings, Corpus(kWhole));
  std::printf("%zu settings\n", ran);
  EXPECT_GE(ran, settings.size() / 2);
}

}  // namespace
}  // namespace mach::test
