#include "ops/tile_work.h"

#include <atomic>
#include <vector>

#include <gtest/gtest.h>

namespace mach::ops {
namespace {

TEST(TileWork, RunsEveryTileOfEveryItemOnce) {
  // Costs that make several ranges, within an item and over several.
  const std::vector<std::pair<size_t, size_t>> items = {{70, 30}, {1, 1000}, {0, 5},   {640, 10},
                                                        {3, 17},  {5, 1},    {30, 170}};
  for (const size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    TileWork work;
    std::vector<std::vector<std::atomic<int>>> hits;
    std::atomic<size_t> calls{0};
    for (const auto& [tiles, cost] : items) {
      work.Add(tiles, cost);
      hits.emplace_back(tiles);
    }
    work.Run(pool, [&](size_t item, size_t begin, size_t end) {
      ASSERT_LT(begin, end);
      ++calls;
      for (size_t t = begin; t < end; ++t) ++hits[item][t];
    });
    for (const auto& item : hits) {
      for (const auto& hit : item) EXPECT_EQ(hit.load(), 1) << threads << " threads";
    }
    EXPECT_EQ(calls.load() >= items.size(), threads > 1);  // alone, one call an item that has tiles
  }
}

TEST(TileWork, IsEmptyAfterClear) {
  ThreadPool pool(2);
  TileWork work;
  work.Add(4, 1);
  work.Clear();
  work.Run(pool, [&](size_t, size_t, size_t) { FAIL(); });
}

}  // namespace
}  // namespace mach::ops
