// What clang's thread-safety analysis checks (-Wthread-safety, in `make lint`): which mutex guards
// what, and which function needs it. Other compilers see nothing.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html; the names are leveldb's and Abseil's.
#pragma once

#if defined(__clang__)
#define MACH_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define MACH_THREAD_ATTRIBUTE(x)
#endif

// On a member: read and written with the mutex held.
#define GUARDED_BY(mutex) MACH_THREAD_ATTRIBUTE(guarded_by(mutex))
// On a pointer: what it points to is.
#define PT_GUARDED_BY(mutex) MACH_THREAD_ATTRIBUTE(pt_guarded_by(mutex))
// On a mutex: taken after the other one.
#define ACQUIRED_AFTER(...) MACH_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))
#define ACQUIRED_BEFORE(...) MACH_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
// On a function: the caller holds the mutex, or does not.
#define EXCLUSIVE_LOCKS_REQUIRED(...) MACH_THREAD_ATTRIBUTE(exclusive_locks_required(__VA_ARGS__))
#define LOCKS_EXCLUDED(...) MACH_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
// For base/mutex.h.
#define LOCKABLE MACH_THREAD_ATTRIBUTE(lockable)
#define SCOPED_LOCKABLE MACH_THREAD_ATTRIBUTE(scoped_lockable)
#define EXCLUSIVE_LOCK_FUNCTION(...) MACH_THREAD_ATTRIBUTE(exclusive_lock_function(__VA_ARGS__))
#define EXCLUSIVE_TRYLOCK_FUNCTION(...) \
  MACH_THREAD_ATTRIBUTE(exclusive_trylock_function(__VA_ARGS__))
#define UNLOCK_FUNCTION(...) MACH_THREAD_ATTRIBUTE(unlock_function(__VA_ARGS__))
// On a function whose locking the analysis cannot follow; a comment says why it is right.
#define NO_THREAD_SAFETY_ANALYSIS MACH_THREAD_ATTRIBUTE(no_thread_safety_analysis)
