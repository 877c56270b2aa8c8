#include "text/splitting.h"

#include <algorithm>

#include "text/component.h"

namespace mach::text {

Result<Behavior> ParseBehavior(std::string_view name) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Contiguous") return Behavior::kContiguous;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  return Error{Code::kInvalidArgument,
               "'behavior' is " + Quoted(name) +
                   ", expected Removed, Isolated, Contiguous, MergedWithPrevious or "
                   "MergedWithNext"};
}

void Cutter::Part(Match part, bool delimiter) {
  bool joins = false;  // the part before
  switch (behavior_) {
    case Behavior::kRemoved:
      if (delimiter) return;
      break;
    case Behavior::kIsolated:
      break;
    case Behavior::kContiguous:
      joins = delimiter == previous_;
      break;
    case Behavior::kMergedWithPrevious:
      joins = delimiter && !previous_;
      break;
    case Behavior::kMergedWithNext:
      joins = !delimiter && previous_;
      break;
  }
  previous_ = delimiter;
  if (joins && out_.size() > first_) {
    out_.back().end = base_ + part.end;
  } else {
    out_.push_back({base_ + part.begin, base_ + part.end});
  }
}

void Cutter::Finish(size_t size) {
  if (at_ != size) Part({at_, size}, invert_);
  const auto begin = out_.begin() + static_cast<std::ptrdiff_t>(first_);
  out_.erase(std::remove_if(begin, out_.end(), [](Match m) { return m.begin == m.end; }),
             out_.end());
}

}  // namespace mach::text
