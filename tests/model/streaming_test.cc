// One corpus under a covering set of ways to hold the experts: the tokens are the same (DESIGN
// promise 1).
#include <set>

#include "streaming_setting.h"

namespace mach::test {
namespace {

using Streaming = StreamingTest;

constexpr experts::Prefetch kOff = experts::Prefetch::kOff;
constexpr experts::Prefetch kAuto = experts::Prefetch::kAuto;
constexpr io::ReadMode kPread = io::ReadMode::kPread;
constexpr experts::Eviction kLru = experts::Eviction::kLru;
constexpr experts::Eviction kLfu = experts::Eviction::kLfu;

// Every pair of choices occurs in one of them.
const std::vector<Setting>& CoveringSet() {
  static const std::vector<Setting> settings = {
      {.bank = 0,
       .eviction = kLfu,
       .mode = kPread,
       .transient = false,
       .prefetch = kAuto,
       .threads = 1,
       .chunk = 16},
      {.bank = 0,
       .pin_hot = true,
       .mode = kPread,
       .transient = false,
       .prefetch = kOff,
       .threads = 1,
       .chunk = 512},
      {.bank = 0, .eviction = kLru, .prefetch = kAuto, .shuffle = 3, .threads = 1, .chunk = 512},
      {.bank = 0, .eviction = kLru, .mode = kPread, .transient = false},
      {.bank = 0.25, .eviction = kLfu, .mode = kPread, .shuffle = 5, .chunk = 512},
      {.bank = 0.25,
       .pin_hot = true,
       .transient = false,
       .prefetch = kAuto,
       .shuffle = 6,
       .threads = 1},
      {.bank = 0.25,
       .eviction = kLru,
       .pin_hot = true,
       .mode = kPread,
       .transient = false,
       .prefetch = kAuto,
       .chunk = 512},
      {.bank = 0.25,
       .eviction = kLru,
       .pin_hot = true,
       .mode = kPread,
       .transient = false,
       .prefetch = kOff,
       .threads = 1,
       .chunk = 16},
      {.bank = 0.5,
       .eviction = kLfu,
       .mode = kPread,
       .transient = false,
       .prefetch = kOff,
       .shuffle = 9,
       .threads = 1},
      {.bank = 0.5, .pin_hot = true, .chunk = 16},
      {.bank = 0.5, .eviction = kLru, .mode = kPread, .prefetch = kAuto, .chunk = 512},
      {.bank = 1, .eviction = kLfu, .pin_hot = true, .prefetch = kOff},
      {.bank = 1, .mode = kPread, .transient = false, .shuffle = 13, .threads = 1, .chunk = 16},
      {.bank = 1,
       .eviction = kLru,
       .transient = false,
       .prefetch = kAuto,
       .threads = 1,
       .chunk = 512},
  };
  return settings;
}

TEST_F(Streaming, TheSettingsCoverEveryPairOfChoices) {
  constexpr size_t kChoices = 9;
  std::array<std::set<int>, kChoices> values;
  std::vector<std::array<int, kChoices>> rows;
  for (const Setting& s : CoveringSet()) {
    rows.push_back({static_cast<int>(100 * s.bank), static_cast<int>(s.eviction), s.pin_hot,
                    static_cast<int>(s.mode), s.transient, static_cast<int>(s.prefetch),
                    s.shuffle != 0, static_cast<int>(s.threads), static_cast<int>(s.chunk)});
    for (size_t i = 0; i < kChoices; ++i) values[i].insert(rows.back()[i]);
  }
  constexpr std::array<size_t, kChoices> kExpected = {4, 3, 2, 2, 2, 3, 2, 2, 3};
  for (size_t i = 0; i < kChoices; ++i) {
    EXPECT_EQ(values[i].size(), kExpected[i]) << "choice " << i;
    for (size_t j = 0; j < i; ++j) {
      std::set<std::pair<int, int>> pairs;
      for (const auto& row : rows) pairs.emplace(row[i], row[j]);
      EXPECT_EQ(pairs.size(), values[i].size() * values[j].size()) << "choices " << i << ", " << j;
    }
  }
}

TEST_F(Streaming, TheTokensDoNotDependOnWhereExpertsAre) {
  EXPECT_GE(ExpectSameTokens(CoveringSet(), Corpus(kWhole)), CoveringSet().size() / 2);
}

// In float32, as the goldens were made.
TEST_F(Streaming, TheGreedyTokensAreTheGoldenOnes) {
  std::vector<Question> greedy = Corpus(kWhole);
  std::erase_if(greedy, [](const Question& run) { return run.golden.empty(); });
  ASSERT_EQ(greedy.size(), 12u);
  for (const double bank : {0.0, 0.5}) {
    const Setting setting{.bank = bank, .mode = kPread, .compute = ops::Compute::kF32};
    const auto model = Load(setting);
    ASSERT_NE(model, nullptr);
    for (const Question& run : greedy) {
      const auto tokens = Generate(*model, run, setting.chunk);
      ASSERT_TRUE(tokens.ok()) << tokens.error().message;
      EXPECT_EQ(*tokens, run.golden);
    }
  }
}

}  // namespace
}  // namespace mach::test
