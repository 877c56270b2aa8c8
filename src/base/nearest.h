// The name that was probably meant.
#pragma once

#include <span>
#include <string_view>

namespace mach {

// Of the names, the one that `typed` differs from in the fewest letters; empty when none is near.
std::string_view Nearest(std::string_view typed, std::span<const std::string_view> names);

}  // namespace mach
