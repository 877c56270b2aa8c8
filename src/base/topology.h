// What the machine offers to this process.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace mach {

// Processors this process may run on, at least 1. Affinity and the CPU quotas of the cgroups (v1
// and v2, each ancestor) count, a part of a processor as a whole one. For the roots see below.
size_t AvailableCpus(std::string_view proc_root = "/proc",
                     std::string_view cgroup_root = "/sys/fs/cgroup");

// Moves the calling thread from processor `cpu` to another that it may run on, if there is one. It
// is not pinned: the system may move it back.
void LeaveCpu(int cpu);

// Bytes that can still be allocated without swapping: the least of MemAvailable and what the
// cgroups (v1 and v2, each ancestor) leave. The page cache and the reclaimable slabs of a group
// count as free, as they do in the kernel's MemAvailable. The roots are "/proc" and
// "/sys/fs/cgroup" except in tests.
Result<size_t> FreeMemoryBytes(std::string_view proc_root = "/proc",
                               std::string_view cgroup_root = "/sys/fs/cgroup");

}  // namespace mach
