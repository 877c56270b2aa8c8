// Cutting a text at the matches of a pattern.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/regex.h"

namespace mach::text {

// What becomes of the matches (delimiters): dropped; pieces of their own; runs of them one piece
// each; the end of the piece before; the start of the piece after.
enum class Behavior : unsigned char {
  kRemoved,
  kIsolated,
  kContiguous,
  kMergedWithPrevious,
  kMergedWithNext
};

Result<Behavior> ParseBehavior(std::string_view name);

// Cuts one text, given its matches from left to right (as MatchCursor finds them).
class Cutter {
 public:
  // invert: what is between the matches is the delimiter. Parts are appended to `out`, with `base`
  // added to their places; out is borrowed.
  Cutter(Behavior behavior, bool invert, size_t base, std::vector<Match>& out)
      : behavior_(behavior), invert_(invert), base_(base), out_(out), first_(out.size()) {}

  void Add(Match match) {
    if (at_ != match.begin) Part({at_, match.begin}, invert_);
    Part(match, !invert_);
    at_ = match.end;
  }
  // The rest of a text of this size. Drops empty parts: until then they count for merging.
  void Finish(size_t size);

 private:
  void Part(Match part, bool delimiter);

  const Behavior behavior_;
  const bool invert_;
  const size_t base_;
  std::vector<Match>& out_;
  const size_t first_;
  size_t at_ = 0;
  bool previous_ = false;  // whether the part before is a delimiter
};

}  // namespace mach::text
