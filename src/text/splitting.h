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

// Appends the parts, in order and none empty, that `matches` (of all of `size` bytes, as FindAll
// gives them) cut a text into. invert: what is between the matches is the delimiter.
void CutAtMatches(size_t size, const std::vector<Match>& matches, Behavior behavior, bool invert,
                  std::vector<Match>& out);

}  // namespace mach::text
