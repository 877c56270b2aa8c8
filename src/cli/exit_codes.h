// How the program ends.
#pragma once

namespace mach::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitTerminated = 143;  // by a signal, before the work was finished

}  // namespace mach::cli
