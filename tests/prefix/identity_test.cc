// DESIGN promise 1 of the prefix cache: answers are those of computing every prompt from its first
// token.
#include <thread>

#include "base/prefix_point.h"
#include "chat_engine.h"

namespace mach::test {
namespace {

using Tokens = std::vector<std::vector<TokenId>>;

class PrefixIdentity : public testing::Test {
 protected:
  static constexpr size_t kConversations = 40;
  static void SetUpTestSuite() {
    const auto plain = NewChatEngine({.cache = false});
    for (const Conversation& c : Agents(kConversations)) {
      expected_.push_back(TokensOf(Converse(*plain, c)));
    }
  }
  static std::vector<Tokens> expected_;  // with the cache off
};
std::vector<Tokens> PrefixIdentity::expected_;

TEST_F(PrefixIdentity, ColdAndFromMemory) {
  const auto engine = NewChatEngine({.max_entries = 1000});
  const std::vector<Conversation> agents = Agents(kConversations);
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < agents.size(); ++i) {
      SCOPED_TRACE("conversation " + std::to_string(i) + " round " + std::to_string(round));
      const auto answers = Converse(*engine, agents[i]);
      ASSERT_EQ(TokensOf(answers), expected_[i]);
      for (size_t turn = 0; turn < answers.size(); ++turn) {
        const engine::Timings& t = answers[turn].timings;
        // Every turn goes on from the one before; in the second round all was there.
        if (turn > 0) {
          EXPECT_GT(t.cached_tokens, answers[turn - 1].timings.prompt_tokens / 2);
        }
        if (round == 1) {
          EXPECT_GE(t.cached_tokens + 16, t.prompt_tokens);
        }
      }
    }
  }
  const cache::PrefixCounters stats = *engine->stats().prefix_cache;
  EXPECT_GT(stats.hits, 8 * stats.misses);
  EXPECT_EQ(stats.refused, 0u);
}

TEST_F(PrefixIdentity, FromDiskAfterARestart) {
  const TemporaryDirectory directory;
  const std::vector<Conversation> agents = Agents(kConversations);
  {
    const auto engine = NewChatEngine({.disk = directory.path()});
    for (const Conversation& c : agents) {
      Converse(*engine, c);
      // On a slow machine more would wait than is kept waiting.
      while (engine->stats().prefix_cache->disk.waiting != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }
  const auto engine = NewChatEngine({.disk = directory.path()});
  for (size_t i = 0; i < agents.size(); ++i) {
    SCOPED_TRACE("conversation " + std::to_string(i));
    const auto answers = Converse(*engine, agents[i]);
    ASSERT_EQ(TokensOf(answers), expected_[i]);
    for (const engine::Answer& a : answers) EXPECT_GT(a.timings.cached_tokens, 0u);
  }
  const cache::PrefixCounters stats = *engine->stats().prefix_cache;
  EXPECT_GT(stats.disk_hits, 10u);
  EXPECT_EQ(stats.misses, 0u);
  EXPECT_EQ(stats.disk.quarantined, 0u);
}

// Memory for a few prefixes only, in small chunks, without a drafter: everything is evicted all the
// time.
TEST_F(PrefixIdentity, UnderPressure) {
  const auto engine = NewChatEngine(
      {.max_entries = 3, .max_bytes = size_t{3} << 20, .draft = false, .max_rows = 48});
  const std::vector<Conversation> agents = Agents(12);
  for (size_t i = 0; i < agents.size(); ++i) {
    ASSERT_EQ(TokensOf(Converse(*engine, agents[i])), expected_[i]);
  }
  const cache::PrefixCounters stats = *engine->stats().prefix_cache;
  EXPECT_GT(stats.evictions, 10u);
  EXPECT_LE(stats.entries, 3u);
  EXPECT_LE(stats.bytes, uint64_t{3} << 20);
}

// A conversation that only grows computes what is new; one whose last message is another one goes
// on from the message before it.
TEST_F(PrefixIdentity, TurnsGoOnAtMessageBoundaries) {
  const auto engine = NewChatEngine({});
  const auto plain = NewChatEngine({.cache = false});
  Conversation c = Agents(1)[0];
  size_t boundary = 0;  // of the last message of the turn before
  std::string answer;
  for (size_t turn = 0; turn < c.says.size(); ++turn) {
    SCOPED_TRACE(turn);
    for (const std::string& text : {c.says[turn], c.says[turn] + " Quickly!"}) {
      Conversation asked = c;
      asked.chat.messages.push_back(json::Object{{"role", "user"}, {"content", text}});
      const engine::Request request = ChatRequest(*engine, asked);
      const engine::Answer got = Ask(*engine, request);
      EXPECT_EQ(got.tokens, Ask(*plain, request).tokens);
      // All of the turn before, and of the edited turn all before the edit.
      EXPECT_GE(got.timings.cached_tokens, boundary);
      if (text == c.says[turn]) answer = TinyCodec()->DecodeTokens(got.tokens);
    }
    c.chat.messages.push_back(json::Object{{"role", "user"}, {"content", c.says[turn]}});
    boundary = ChatRequest(*engine, c).prefix_points.back().tokens;
    c.chat.messages.push_back(json::Object{{"role", "assistant"}, {"content", answer}});
  }
  EXPECT_GT(boundary, 100u);
}

TEST_F(PrefixIdentity, FourSessionsAtATime) {
  const auto engine = NewChatEngine({});
  const std::vector<Conversation> agents = Agents(16);
  std::vector<Tokens> found(agents.size());
  std::vector<std::thread> clients;
  for (size_t client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (size_t i = client; i < agents.size(); i += 4) {
        found[i] = TokensOf(Converse(*engine, agents[i]));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < agents.size(); ++i) EXPECT_EQ(found[i], expected_[i]) << i;
}

// Prompts that part at every place of a block, before and after an point.
TEST_F(PrefixIdentity, PartialBlocks) {
  const auto plain = NewChatEngine({.cache = false});
  const auto cached = NewChatEngine({});
  std::vector<TokenId> base =
      ChatRequest(
          *plain,
          [] {
            Conversation c = Agents(1)[0];
            c.chat.messages.push_back(json::Object{{"role", "user"}, {"content", c.says[0]}});
            return c;
          }())
          .prompt;
  ASSERT_GT(base.size(), 140u);
  for (size_t at = 60; at < 134; at += 7) {
    for (const size_t point : {at - 3, at, at + 5}) {
      engine::Request request;
      request.prompt.assign(base.begin(), base.begin() + 140);
      for (size_t i = at; i < request.prompt.size(); ++i) {
        request.prompt[i] =
            static_cast<TokenId>((static_cast<size_t>(request.prompt[i]) + at) % 8000);
      }
      request.prefix_points = {{point, PrefixKind::kMessage}};
      request.sampling.temperature = 0;
      request.max_tokens = 6;
      ASSERT_EQ(Ask(*cached, request).tokens, Ask(*plain, request).tokens) << at;
    }
  }
  EXPECT_GT(cached->stats().prefix_cache->hits, 10u);
}

// Requests that do without the drafter leave no notes; those after them must do.
TEST_F(PrefixIdentity, WithAndWithoutSpeculation) {
  const auto engine = NewChatEngine({});
  const std::vector<Conversation> agents = Agents(4);
  for (size_t i = 0; i < agents.size(); ++i) {
    Conversation c = agents[i];
    Tokens found;
    for (size_t turn = 0; turn < c.says.size(); ++turn) {
      c.chat.messages.push_back(json::Object{{"role", "user"}, {"content", c.says[turn]}});
      engine::Request request = ChatRequest(*engine, c);
      if ((turn + i) % 2 == 0) request.speculation = engine::SpeculationMode::kOff;
      found.push_back(Ask(*engine, request).tokens);
      c.chat.messages.push_back(json::Object{{"role", "assistant"},
                                             {"content", TinyCodec()->DecodeTokens(found.back())}});
    }
    EXPECT_EQ(found, expected_[i]);
  }
}

}  // namespace
}  // namespace mach::test
