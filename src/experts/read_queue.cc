#include "experts/read_queue.h"

namespace mach::experts {

// Two queues, each in the order of its requests, and one rule between them: no prefetch begins
// before all demand of the layer has. While limits_.prefetch_beside_demand is false, none begins
// before all of that has landed either: a disk may serve what it has in any order, so that a
// prefetch beside demand delays it.
//
// hold_last_: the last demand read begins when the first of the others lands. It is set when the
// demand of a layer is complete and cleared by the first landing, so that a read which is added
// later (of a record that was wrong) is not held for longer.

ReadQueue::ReadQueue(size_t experts) {
  demands_.reserve(experts);
  prefetches_.reserve(experts);
}

void ReadQueue::Clear() {
  demands_.clear();
  next_demand_ = 0;
  hold_last_ = false;
  prefetches_.clear();
  next_prefetch_ = 0;
}

void ReadQueue::HoldLast() {
  hold_last_ = demands_.size() > 1 && demands_.size() - 1 >= limits_.hold_last_after;
}

const ReadQueue::Demand* ReadQueue::NextDemand(UnderWay now) const {
  if (all_demand_started() || now.demand >= limits_.demand || now.total >= limits_.total) {
    return nullptr;
  }
  const bool last = next_demand_ + 1 == demands_.size();
  if (last && hold_last_ && now.demand != 0) return nullptr;
  return &demands_[next_demand_];
}

const ExpertKey* ReadQueue::NextPrefetch(UnderWay now) const {
  if (!all_demand_started() || next_prefetch_ == prefetches_.size()) return nullptr;
  if (now.demand != 0 && !limits_.prefetch_beside_demand) return nullptr;
  return now.total < limits_.prefetch ? &prefetches_[next_prefetch_] : nullptr;
}

}  // namespace mach::experts
