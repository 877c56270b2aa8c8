#include "experts/reuse_distances.h"

#include <algorithm>

#include "base/check.h"

namespace mach::experts {
namespace {

// Moments until they are numbered anew, for each key: so that it costs nearly nothing.
constexpr size_t kMomentsPerKey = 4;

}  // namespace

ReuseDistances::ReuseDistances(size_t keys, size_t records)
    : records_(records), tree_(kMomentsPerKey * keys + 1, 0), last_(keys, 0) {
  MACH_CHECK(records > 0 && records <= keys);
  used_.reserve(keys);
}

void ReuseDistances::Mark(size_t position, int32_t by) {
  for (; position < tree_.size(); position += position & (~position + 1)) tree_[position] += by;
}

size_t ReuseDistances::MarksUpTo(size_t position) const {
  int64_t marks = 0;
  for (; position > 0; position -= position & (~position + 1)) marks += tree_[position];
  return static_cast<size_t>(marks);
}

void ReuseDistances::Renumber() {
  used_.clear();
  for (uint32_t key = 0; key < last_.size(); ++key) {
    if (last_[key] != 0) used_.push_back(key);
  }
  std::ranges::sort(used_, {}, [&](uint32_t key) { return last_[key]; });
  std::ranges::fill(tree_, 0);
  now_ = 0;
  for (const uint32_t key : used_) {
    last_[key] = static_cast<uint32_t>(++now_);
    Mark(now_, 1);
  }
}

void ReuseDistances::OnUse(ExpertKey key) {
  if (now_ + 1 == tree_.size()) Renumber();
  uses_.Add();
  if (last_[key] == 0) {
    first_uses_.Add();
    ++marks_;
  } else {
    const size_t others = marks_ - MarksUpTo(last_[key]);
    size_t size = std::min(others * kSizes / records_, kSizes - 1);
    while (size + 1 < kSizes && Slots(size) <= others) ++size;
    least_size_[size].Add();
    Mark(last_[key], -1);
  }
  last_[key] = static_cast<uint32_t>(++now_);
  Mark(now_, 1);
}

uint64_t ReuseDistances::Hits(size_t size) const {
  uint64_t hits = 0;
  for (size_t i = 0; i <= size; ++i) hits += least_size_[i].Get();
  return hits;
}

}  // namespace mach::experts
