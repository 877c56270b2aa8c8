// Splits the tiles of several matrix products over the threads by cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/aligned_memory.h"
#include "base/thread_pool.h"

namespace mach::ops {

// A list of items (matrix products); an item is a number of tiles that cost the same. Run divides
// the list into ranges of about equal cost. An object is reused for many lists, so that Add does
// not allocate.
class TileWork {
 public:
  TileWork() { Reserve(kFewItems); }
  // Makes room for lists of this many items.
  void Reserve(size_t items) { items_.reserve(items); }

  void Clear() {
    items_.clear();
    total_ = 0;
  }
  // Appends an item. cost: of one tile, at least 1, in the unit of TileCost.
  void Add(size_t tiles, size_t cost) {
    items_.push_back({total_, tiles, cost});
    total_ += tiles * cost;
  }

  // Calls fn(item, tile_begin, tile_end) on the threads of the pool until every tile of every item
  // has been in exactly one call. Items are numbered in the order of Add.
  template <class F>
  void Run(ThreadPool& pool, F&& fn) const {
    pool.ParallelFor(total_, kGrain, [&](size_t begin, size_t end, size_t) {
      for (size_t i = 0; i < items_.size(); ++i) {
        const Item& item = items_[i];
        if (item.start >= end) break;
        // Tile t of the item occupies [start + t * cost, start + (t + 1) * cost). Tiles go in
        // groups of kTogether; the range that holds the start of a group runs the group.
        const size_t first = FirstTile(item, begin);
        const size_t last = FirstTile(item, end);
        if (first < last) fn(i, first, last);
      }
    });
  }

 private:
  struct Item {
    size_t start;  // cost of all items before it
    size_t tiles;
    size_t cost;
  };
  static size_t FirstTile(const Item& item, size_t at) {
    if (at <= item.start) return 0;
    const size_t tile = (at - item.start + item.cost - 1) / item.cost;
    return std::min(RoundUp(tile, kTogether), item.tiles);
  }
  // Enough for every op but Moe (ReserveMoe).
  static constexpr size_t kFewItems = 8;
  // Least cost that is worth a hand-over to another thread: one or two microseconds of work.
  static constexpr size_t kGrain = 400;
  // Tiles that a kernel takes through the columns together.
  static constexpr size_t kTogether = 4;

  std::vector<Item> items_;
  size_t total_ = 0;
};

}  // namespace mach::ops
