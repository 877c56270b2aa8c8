// Splits the tiles of several matrices over the threads by cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/aligned_memory.h"
#include "base/thread_pool.h"

namespace mach::ops {

// A list of matrix products, each of some tiles that cost the same. Run cuts it into ranges of
// about equal cost for ThreadPool. Reused, so that Add does not allocate.
class TileWork {
 public:
  TileWork() { Reserve(kFewItems); }
  // Room for so many items between two Clears.
  void Reserve(size_t items) { items_.reserve(items); }

  void Clear() {
    items_.clear();
    total_ = 0;
  }
  // cost: of one tile, any unit (bytes of weights plus rows, say), at least 1.
  void Add(size_t tiles, size_t cost) {
    items_.push_back({total_, tiles, cost});
    total_ += tiles * cost;
  }

  // fn(item, tile_begin, tile_end), item in the order of Add.
  template <class F>
  void Run(ThreadPool& pool, F&& fn) const {
    pool.ParallelFor(total_, kGrain, [&](size_t begin, size_t end, size_t) {
      for (size_t i = 0; i < items_.size(); ++i) {
        const Item& item = items_[i];
        if (item.start >= end) break;
        // Tile t starts at start + t * cost; the range that holds the start of the first of
        // kTogether runs them.
        const size_t first = FirstTile(item, begin);
        const size_t last = FirstTile(item, end);
        if (first < last) fn(i, first, last);
      }
    });
  }

 private:
  struct Item {
    size_t start;
    size_t tiles;
    size_t cost;
  };
  static size_t FirstTile(const Item& item, size_t at) {
    if (at <= item.start) return 0;
    const size_t tile = (at - item.start + item.cost - 1) / item.cost;
    return std::min(RoundUp(tile, kTogether), item.tiles);
  }
  // Of every op but Moe, which reserves its own.
  static constexpr size_t kFewItems = 8;
  // What is worth handing to another thread: one or two microseconds of work, in the units of
  // TileCost.
  static constexpr size_t kGrain = 400;
  // Kernels take so many tiles through their columns together.
  static constexpr size_t kTogether = 4;

  std::vector<Item> items_;
  size_t total_ = 0;
};

}  // namespace mach::ops
