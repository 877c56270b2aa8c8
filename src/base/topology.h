// What the machine offers to this process.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace mach {

// Processors this process may run on, at least 1. Affinity and the cgroup CPU quota count.
size_t AvailableCpus();

// Moves the calling thread from processor `cpu` to another that it may run on, if there is one. It
// is not pinned: the system may move it back.
void LeaveCpu(int cpu);

// Bytes that can still be allocated without swapping: the least of MemAvailable and what the
// cgroups (v1 and v2, each ancestor) leave. proc_root and cgroup_root are "/proc" and
// "/sys/fs/cgroup" but in tests.
Result<size_t> FreeMemoryBytes(std::string_view proc_root = "/proc",
                               std::string_view cgroup_root = "/sys/fs/cgroup");

}  // namespace mach
