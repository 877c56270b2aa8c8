#include "text/splitting.h"

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

void CutAtMatches(size_t size, const std::vector<Match>& matches, Behavior behavior, bool invert,
                  std::vector<Match>& out) {
  const size_t first = out.size();
  // Empty parts count for the neighbours' merging, as in the reference, and are dropped at the end.
  bool previous = false;
  const auto add = [&](size_t begin, size_t end, bool is_match) {
    const bool delimiter = is_match != invert;
    const bool some = out.size() > first;
    switch (behavior) {
      case Behavior::kRemoved:
        if (!delimiter) out.push_back({begin, end});
        break;
      case Behavior::kIsolated:
        out.push_back({begin, end});
        break;
      case Behavior::kContiguous:
        if (delimiter == previous && some) {
          out.back().end = end;
        } else {
          out.push_back({begin, end});
        }
        break;
      case Behavior::kMergedWithPrevious:
        if (delimiter && !previous && some) {
          out.back().end = end;
        } else {
          out.push_back({begin, end});
        }
        break;
      case Behavior::kMergedWithNext:
        // From the left: a part joins the delimiter right before it, unless it is one itself.
        if (!delimiter && previous && some) {
          out.back().end = end;
        } else {
          out.push_back({begin, end});
        }
        break;
    }
    previous = delimiter;
  };
  size_t at = 0;
  for (const Match& m : matches) {
    if (at != m.begin) add(at, m.begin, false);
    add(m.begin, m.end, true);
    at = m.end;
  }
  if (at != size) add(at, size, false);
  auto keep = out.begin() + static_cast<std::ptrdiff_t>(first);
  for (auto it = keep; it != out.end(); ++it) {
    if (it->begin != it->end) *keep++ = *it;
  }
  out.erase(keep, out.end());
}

}  // namespace mach::text
