#include "ops/tile_work.h"

#include <atomic>
#include <vector>

#include <gtest/gtest.h>

namespace mach::ops {
namespace {

TEST(TileWork, RunsEveryTileOfEveryItemOnce) {
  const std::vector<std::pair<size_t, size_t>> items = {{7, 3}, {1, 100}, {0, 5}, {64, 1}, {3, 17}};
  for (const size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    TileWork work;
    std::vector<std::vector<std::atomic<int>>> hits;
    for (const auto& [tiles, cost] : items) {
      work.Add(tiles, cost);
      hits.emplace_back(tiles);
    }
    work.Run(pool, [&](size_t item, size_t begin, size_t end) {
      ASSERT_LT(begin, end);
      for (size_t t = begin; t < end; ++t) ++hits[item][t];
    });
    for (const auto& item : hits) {
      for (const auto& hit : item) EXPECT_EQ(hit.load(), 1) << threads << " threads";
    }
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
