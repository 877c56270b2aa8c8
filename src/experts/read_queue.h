// In which order records are read: what a layer requested, then what later layers may need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/catalog.h"

namespace mach::experts {

// Decides which read may begin next; claims no slot and starts no read. Used by one thread.
// Allocates only where an acquisition has more experts than the constructor was told.
class ReadQueue {
 public:
  // How many reads a pass has under way.
  struct Limits {
    size_t demand = 0;    // demand reads
    size_t prefetch = 0;  // reads of both kinds, for a prefetch to begin
    size_t total = 0;     // reads of both kinds; the reader's depth
    // Prefetches begin as soon as every demand read has begun, not only when all have landed.
    bool prefetch_beside_demand = false;
    // A layer's last read is held back where at least so many others come before it.
    size_t hold_last_after = SIZE_MAX;
  };
  struct Demand {
    ExpertKey key;
    uint32_t index;  // in the acquisition
  };
  // What is under way now.
  struct UnderWay {
    size_t demand = 0;
    size_t total = 0;
  };

  // experts: of a layer.
  explicit ReadQueue(size_t experts);

  // Of the pass that begins. Until the first one nothing may begin.
  void SetLimits(const Limits& limits) { limits_ = limits; }
  // Forgets what has not begun.
  void Clear();

  void AddDemand(const Demand& demand) { demands_.push_back(demand); }
  // The layer's demand is complete.
  void HoldLast();
  // A demand read has ended, well or not.
  void DemandLanded() { hold_last_ = false; }
  void AddPrefetch(ExpertKey key) { prefetches_.push_back(key); }

  // The read to begin now; null where there is none or it has to wait. It stays the next one until
  // DemandStarted, or PrefetchTaken for one that has begun or need not begin.
  const Demand* NextDemand(UnderWay now) const;
  void DemandStarted() { ++next_demand_; }
  const ExpertKey* NextPrefetch(UnderWay now) const;
  void PrefetchTaken() { ++next_prefetch_; }

  size_t demand() const { return demands_.size(); }  // since Clear, begun or not
  bool all_demand_started() const { return next_demand_ == demands_.size(); }

 private:
  Limits limits_;
  std::vector<Demand> demands_;  // to begin from next_demand_ on
  size_t next_demand_ = 0;
  bool hold_last_ = false;
  std::vector<ExpertKey> prefetches_;  // to begin from next_prefetch_ on
  size_t next_prefetch_ = 0;
};

}  // namespace mach::experts
