// MACH_CHECK(condition) ends the process when one of our own invariants is broken. Never for input.
#pragma once

namespace mach {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}  // namespace mach

#define MACH_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::mach::CheckFailed(#condition, __FILE__, __LINE__))

// Only in builds without NDEBUG: for conditions too costly to test in production.
#ifdef NDEBUG
#define MACH_DCHECK(condition) void(0)
#else
#define MACH_DCHECK(condition) MACH_CHECK(condition)
#endif
