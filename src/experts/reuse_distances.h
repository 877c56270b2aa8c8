// How often banks of other sizes would have hit, by one look at the uses as they come.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/catalog.h"
#include "experts/counters.h"

namespace mach::experts {

// Of every use the number of other experts that were used since the last use of the same one: a
// bank of more slots than that, which evicts by recency, has it still (Mattson et al., IBM Systems
// Journal 1970). Counted for kSizes bank sizes, the largest of which holds every expert. Used by
// one thread; the counts are for all. A use is O(log keys).
class ReuseDistances {
 public:
  static constexpr size_t kSizes = 32;

  // keys: of the catalog. records: experts that exist.
  ReuseDistances(size_t keys, size_t records);

  void OnUse(ExpertKey key);

  size_t Slots(size_t size) const { return records_ * (size + 1) / kSizes; }
  uint64_t Hits(size_t size) const;  // uses that a bank of Slots(size) would have had
  uint64_t uses() const { return uses_.Get(); }
  uint64_t first_uses() const { return first_uses_.Get(); }  // which no bank can have

 private:
  void Mark(size_t position, int32_t by);
  size_t MarksUpTo(size_t position) const;
  void Renumber();

  const size_t records_;
  // Positions are moments, from 1 on; the last use of each key is marked.
  std::vector<int32_t> tree_;   // a Fenwick tree over them
  std::vector<uint32_t> last_;  // by key; 0: never used
  std::vector<uint32_t> used_;  // scratch of Renumber
  size_t now_ = 0;
  size_t marks_ = 0;
  Counter uses_;
  Counter first_uses_;
  std::array<Counter, kSizes> least_size_;  // uses by the least size that would have hit
};

}  // namespace mach::experts
