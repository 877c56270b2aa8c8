#include "experts/trace.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace mach::experts {
namespace {

constexpr size_t kMostRows = 16;

Trace RandomTrace(size_t experts, uint64_t seed) {
  Trace trace{.layers = 3, .experts = experts, .top_k = 2};
  TraceRecorder recorder(trace);
  for (uint64_t pass = 0; pass < 60; ++pass) {
    const size_t rows = pass % 10 == 0 ? 5 : 1;
    for (uint64_t layer = 0; layer < trace.layers; ++layer) {
      std::vector<ExpertId> ids;
      for (uint32_t i = 0; i < rows * trace.top_k; ++i) {
        // Squared, so that low ids come more often.
        const double u = UniformAt(seed, pass * 3 + layer, i);
        ids.push_back(ExpertId(static_cast<uint32_t>(u * u * static_cast<double>(experts))));
      }
      recorder.OnLayer(ids);
    }
  }
  return trace;
}

TEST(Trace, ComesBackFromItsBytes) {
  for (const size_t experts : {20, 256, 1000}) {
    const Trace trace = RandomTrace(experts, 1);
    ASSERT_EQ(trace.passes.size(), 60u);
    const auto parsed = ParseTrace(FormatTrace(trace));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->layers, 3u);
    EXPECT_EQ(parsed->experts, experts);
    EXPECT_EQ(parsed->top_k, 2u);
    ASSERT_EQ(parsed->passes.size(), trace.passes.size());
    for (size_t i = 0; i < trace.passes.size(); ++i) {
      EXPECT_EQ(parsed->passes[i].rows, trace.passes[i].rows);
      EXPECT_EQ(parsed->passes[i].ids, trace.passes[i].ids);
    }
  }
}

TEST(Trace, OtherBytesAreRefused) {
  const std::string good = FormatTrace(RandomTrace(20, 1));
  const auto corrupt = [](const std::string& bytes) {
    const auto parsed = ParseTrace(bytes);
    return !parsed.ok() && parsed.error().code == Code::kCorrupt;
  };
  EXPECT_TRUE(corrupt(""));
  EXPECT_TRUE(corrupt("mach-expert-trace 2 layers=3 experts=20 top_k=2\n"));
  EXPECT_TRUE(corrupt("mach-expert-trace 1 layers=3 experts=20\n"));
  EXPECT_TRUE(corrupt("mach-expert-trace 1 layers=0 experts=20 top_k=2\n"));
  EXPECT_TRUE(corrupt("mach-expert-trace 1 layers=99999999999999999999 experts=20 top_k=2\n"));
  EXPECT_TRUE(corrupt(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(corrupt(good + "\x01"));
  EXPECT_TRUE(corrupt(good + std::string("\xff\xff\xff\xff", 4)));
  EXPECT_TRUE(corrupt(good + std::string("\0\0\0\0", 4)));
  std::string wrong_id = good;
  wrong_id.back() = 20;
  EXPECT_TRUE(corrupt(wrong_id));
}

TEST(Replay, NoPolicyBeatsForesight) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const Trace trace = RandomTrace(20, seed);
    for (const size_t slots : {1, 5, 10, 20, 40, 60}) {
      const ReplayResult best = ReplayOptimal(trace, slots, kMostRows);
      for (const Eviction e : {Eviction::kLru, Eviction::kLfu, Eviction::kLookahead}) {
        const auto policy = MakeEvictionPolicy(e, trace.layers, trace.experts, slots);
        const ReplayResult found = Replay(trace, slots, *policy, kMostRows);
        EXPECT_LE(found.hits, best.hits) << EvictionName(e) << " with " << slots << " slots";
        EXPECT_EQ(found.hits + found.misses, best.hits + best.misses);
        if (slots == 60) {
          EXPECT_EQ(found.hits, best.hits);  // only first uses miss
        }
      }
    }
  }
}

TEST(Replay, PassesOfMoreRowsAreLeftOut) {
  const Trace trace = RandomTrace(20, 1);
  const ReplayResult single = ReplayOptimal(trace, 10, 1);
  EXPECT_LE(single.hits + single.misses, 54 * 3 * 2u);
  const ReplayResult every = ReplayOptimal(trace, 10, kMostRows);
  EXPECT_GT(every.hits + every.misses, single.hits + single.misses);
}

// How a router of some kind chooses.
struct Routing {
  size_t layers, experts, top_k, passes;
  double zipf;   // exponent of the popularity of a layer's experts
  double stay;   // chance that a token keeps an expert of the token before
  size_t topic;  // passes until popularity changes; 0: never
  double drift;  // share of the experts that it changes for
  uint64_t seed;
};

Trace RoutedTrace(const Routing& r) {
  Trace trace{.layers = r.layers, .experts = r.experts, .top_k = r.top_k, .passes = {}};
  TraceRecorder recorder(trace);
  uint64_t draws = 0;
  const auto draw = [&] { return UniformAt(r.seed, draws++); };
  const auto any = [&](size_t n) { return static_cast<size_t>(draw() * static_cast<double>(n)); };
  std::vector<double> up_to(r.experts);
  double sum = 0;
  for (size_t i = 0; i < r.experts; ++i) {
    sum += std::pow(static_cast<double>(i + 1), -r.zipf);
    up_to[i] = sum;
  }
  std::vector<std::vector<uint32_t>> order(r.layers), last(r.layers);
  for (auto& layer : order) {
    for (uint32_t e = 0; e < r.experts; ++e) layer.push_back(e);
    for (size_t i = r.experts; i > 1; --i) std::swap(layer[i - 1], layer[any(i)]);
  }
  for (size_t pass = 0; pass < r.passes; ++pass) {
    for (size_t l = 0; l < r.layers; ++l) {
      if (r.topic != 0 && pass % r.topic == 0) {
        for (uint32_t& e : order[l]) {
          if (draw() < r.drift) std::swap(e, order[l][any(r.experts)]);
        }
      }
      std::vector<uint32_t> chosen;
      for (const uint32_t e : last[l]) {
        if (draw() < r.stay) chosen.push_back(e);
      }
      while (chosen.size() < r.top_k) {
        const auto rank = std::ranges::lower_bound(up_to, draw() * sum) - up_to.begin();
        const uint32_t e = order[l][std::min<size_t>(static_cast<size_t>(rank), r.experts - 1)];
        if (std::ranges::find(chosen, e) == chosen.end()) chosen.push_back(e);
      }
      std::vector<ExpertId> ids;
      for (const uint32_t e : chosen) ids.push_back(ExpertId(e));
      recorder.OnLayer(ids);
      last[l] = std::move(chosen);
    }
  }
  return trace;
}

TEST(Replay, LookaheadIsNoWorseThanLruHoweverARouterChooses) {
  const Routing kinds[] = {
      {8, 64, 4, 600, 0.8, 0.3, 200, 0.3, 1},  {6, 128, 8, 500, 1.2, 0.5, 250, 0.5, 2},
      {12, 32, 2, 800, 0.5, 0.6, 100, 0.1, 3}, {8, 64, 4, 600, 1.0, 0.0, 0, 0.0, 4},
      {4, 256, 8, 300, 0.0, 0.0, 0, 0.0, 5},   {16, 16, 2, 600, 0.3, 0.9, 50, 1.0, 6},
  };
  for (const Routing& kind : kinds) {
    const Trace trace = RoutedTrace(kind);
    const size_t all = trace.layers * trace.experts;
    for (const size_t percent : {5, 10, 25, 50, 75, 90, 95, 98, 100}) {
      const size_t slots = all * percent / 100;
      const auto lookahead = MakeLookahead(trace.layers, trace.experts, slots);
      const auto lru = MakeLru(trace.layers, trace.experts);
      EXPECT_GE(Replay(trace, slots, *lookahead, kMostRows).hits,
                Replay(trace, slots, *lru, kMostRows).hits)
          << "routing " << kind.seed << ", " << slots << " of " << all << " slots";
    }
  }
}

TEST(Replay, LookaheadIsNoWorseThanLruOnTheRecordedTraces) {
  std::ifstream file(std::string(MACH_SOURCE_DIR) + "/bench/traces/mach-tiny.trace",
                     std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  const auto trace = ParseTrace(bytes.str());
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  ASSERT_EQ(trace->passes.size(), 2000u);
  const size_t all = trace->layers * trace->experts;
  for (size_t slots = 8; slots <= all; slots += 8) {
    const auto lookahead = MakeLookahead(trace->layers, trace->experts, slots);
    const auto lru = MakeLru(trace->layers, trace->experts);
    const ReplayResult best = ReplayOptimal(*trace, slots, kMostRows);
    const ReplayResult ours = Replay(*trace, slots, *lookahead, kMostRows);
    const ReplayResult theirs = Replay(*trace, slots, *lru, kMostRows);
    EXPECT_GE(ours.hits, theirs.hits) << slots << " slots";
    EXPECT_LE(ours.hits, best.hits) << slots << " slots";
    // A walk through the layers that is longer than the bank hits nothing by recency alone.
    if (slots < trace->layers * trace->top_k) {
      EXPECT_EQ(theirs.hits, 0u);
    }
  }
}

}  // namespace
}  // namespace mach::experts
