// A binary heap whose members can be found: insert, remove and re-rank one in O(log n).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/check.h"

namespace mach::experts {

// The least rank is on top. Ids are dense numbers below `ids`; each is a member at most once.
// Allocates only in the constructor.
template <class Rank>
class IndexedHeap {
 public:
  explicit IndexedHeap(size_t ids) : at_(ids, kAbsent) { heap_.reserve(ids); }

  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  bool Contains(uint32_t id) const { return at_[id] != kAbsent; }
  uint32_t top() const { return heap_.front().second; }

  // Inserts id, or gives it another rank.
  void Set(uint32_t id, const Rank& rank) {
    if (at_[id] == kAbsent) {
      at_[id] = static_cast<uint32_t>(heap_.size());
      heap_.emplace_back(rank, id);
    } else {
      heap_[at_[id]].first = rank;
    }
    Up(Down(at_[id]));
  }

  // REQUIRES: Contains(id).
  void Remove(uint32_t id) {
    const uint32_t i = at_[id];
    MACH_CHECK(i != kAbsent);
    Swap(i, static_cast<uint32_t>(heap_.size() - 1));
    heap_.pop_back();
    at_[id] = kAbsent;
    if (i < heap_.size()) Up(Down(i));
  }

 private:
  static constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();

  void Swap(uint32_t a, uint32_t b) {
    std::swap(heap_[a], heap_[b]);
    at_[heap_[a].second] = a;
    at_[heap_[b].second] = b;
  }
  void Up(uint32_t i) {
    for (; i > 0 && heap_[i].first < heap_[(i - 1) / 2].first; i = (i - 1) / 2) {
      Swap(i, (i - 1) / 2);
    }
  }
  uint32_t Down(uint32_t i) {
    for (;;) {
      uint32_t least = i;
      for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap_.size(); ++child) {
        if (heap_[child].first < heap_[least].first) least = child;
      }
      if (least == i) return i;
      Swap(i, least);
      i = least;
    }
  }

  std::vector<std::pair<Rank, uint32_t>> heap_;
  std::vector<uint32_t> at_;  // by id: its place in heap_
};

}  // namespace mach::experts
