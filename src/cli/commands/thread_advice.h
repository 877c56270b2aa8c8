// What to say of a number of threads.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mach::cli {

// Of more threads than processors: both numbers, why that is slower, and what to do. Else empty.
// option: "--threads". threads 0: nothing was asked for.
std::string TooManyThreads(std::string_view option, size_t threads, size_t processors);

}  // namespace mach::cli
