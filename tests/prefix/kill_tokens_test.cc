// Engines that are killed at random moments of conversations: another one that goes on with their
// directory answers as without a cache. One for every ten of MACH_KILLS.
#include <thread>

#include "base/random.h"
#include "kill_tokens_work.h"
#include "killed.h"

namespace mach::test {
namespace {

constexpr int kShare = 10;

TEST(PrefixKillTokens, AnswersAreThoseWithoutACache) {
  const std::vector<Conversation> agents = Agents(kKillAgents);
  std::vector<std::vector<std::vector<TokenId>>> expected;
  {
    const auto plain = NewChatEngine({.cache = false});
    for (const Conversation& c : agents) expected.push_back(TokensOf(Converse(*plain, c)));
  }
  const TemporaryDirectory directory;
  const ChatEngineOptions options = KillEngine(directory.path());
  uint64_t restored = 0;
  for (int i = 0; i < cache::Kills() / kShare; ++i) {
    SCOPED_TRACE("kill " + std::to_string(i));
    const auto seed = static_cast<uint64_t>(i);
    {
      const cache::Child child(MACH_KILL_TOKENS_CHILD, directory.path(), seed);
      child.WaitUntilOpen();
      const double moment = UniformAt(98, seed);
      std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(moment * 4e5)));
      ASSERT_TRUE(child.Kill());
    }
    const auto engine = NewChatEngine(options);
    cache::CheckRecovered(directory.path(), options.disk_budget);
    for (size_t c = 0; c < agents.size(); ++c) {
      ASSERT_EQ(TokensOf(Converse(*engine, agents[c])), expected[c]) << c;
    }
    const cache::PrefixCounters stats = *engine->stats().prefix_cache;
    EXPECT_EQ(stats.disk.quarantined, 0u);
    EXPECT_LE(stats.disk.bytes, options.disk_budget);
    restored += stats.disk_hits;
  }
  EXPECT_GT(restored, 0u);
}

}  // namespace
}  // namespace mach::test
