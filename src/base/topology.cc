#include "base/topology.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <sched.h>

namespace mach {
namespace {

std::optional<std::string> ReadSmall(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::optional<size_t> ReadNumber(const std::string& path) {
  const auto text = ReadSmall(path);
  size_t value = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc{}) {
    return std::nullopt;  // absent, or "max"
  }
  return value;
}

struct CgroupPath {
  std::string path;  // relative to the hierarchy's root, e.g. "/user.slice/a"
  bool v2 = false;
};

// /proc/self/cgroup has lines "hierarchy:controllers:path"; v2 is hierarchy 0 without controllers.
std::vector<CgroupPath> CgroupsOf(const std::string& proc_root, std::string_view controller) {
  std::vector<CgroupPath> found;
  std::istringstream lines(ReadSmall(proc_root + "/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (v2 || controllers.find("," + std::string(controller) + ",") != std::string::npos) {
      found.push_back({line.substr(second + 1), v2});
    }
  }
  return found;
}

// Calls visit(directory) for the cgroup and each of its ancestors, the root included.
template <class F>
void ForEachAncestor(const std::string& root, std::string path, F visit) {
  while (true) {
    visit(root + path);
    if (path.empty() || path == "/") return;
    path.erase(path.find_last_of('/'));
  }
}

// What a cgroup can give back of its usage. Shared memory is in neither of the file lists. v1 has a
// group's own pages and, as total_*, those of its descendants, which its usage counts too.
size_t ReclaimableBytes(const std::string& memory_stat) {
  size_t own = 0;
  size_t total = 0;
  std::istringstream stat(ReadSmall(memory_stat).value_or(""));
  size_t value = 0;
  for (std::string key; stat >> key >> value;) {
    if (key == "inactive_file" || key == "active_file" || key == "slab_reclaimable") own += value;
    if (key == "total_inactive_file" || key == "total_active_file") total += value;
  }
  return std::max(own, total);
}

}  // namespace

size_t AvailableCpus(std::string_view proc_root, std::string_view cgroup_root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  size_t cpus =
      sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<size_t>(CPU_COUNT(&set)) : 1;
  const auto limit = [&](double quota, double period) {
    if (period <= 0) return;
    cpus = std::min(cpus, static_cast<size_t>(std::max(1.0, std::ceil(quota / period))));
  };
  for (const CgroupPath& group : CgroupsOf(std::string(proc_root), "cpu")) {
    const std::string root = std::string(cgroup_root) + (group.v2 ? "" : "/cpu");
    ForEachAncestor(root, group.path, [&](const std::string& dir) {
      if (group.v2) {
        std::istringstream text(ReadSmall(dir + "/cpu.max").value_or(""));
        double quota = 0;
        double period = 0;
        if (text >> quota >> period) limit(quota, period);
      } else if (const auto quota = ReadNumber(dir + "/cpu.cfs_quota_us")) {
        limit(static_cast<double>(*quota),
              static_cast<double>(ReadNumber(dir + "/cpu.cfs_period_us").value_or(0)));
      }
    });
  }
  return std::max<size_t>(cpus, 1);
}

void LeaveCpu(int cpu) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;  // more processors than it has
  cpu_set_t others = allowed;
  CPU_CLR(cpu, &others);
  if (sched_setaffinity(0, sizeof(others), &others) != 0) return;  // there is no other
  (void)sched_setaffinity(0, sizeof(allowed), &allowed);
}

Result<size_t> FreeMemoryBytes(std::string_view proc_root, std::string_view cgroup_root) {
  const std::string proc(proc_root);
  const auto meminfo = ReadSmall(proc + "/meminfo");
  const size_t at = meminfo ? meminfo->find("MemAvailable:") : std::string::npos;
  if (at == std::string::npos) {
    return Error{Code::kIo, proc + "/meminfo: no MemAvailable line; cannot tell the free memory"};
  }
  std::istringstream number(meminfo->substr(at + 13));
  size_t kib = 0;
  number >> kib;
  size_t free = kib * 1024;
  const auto limit = [&](const std::string& dir, const char* max, const char* used) {
    const auto ceiling = ReadNumber(dir + max);
    if (!ceiling) return;
    const size_t usage = ReadNumber(dir + used).value_or(0);
    const size_t held = usage - std::min(usage, ReclaimableBytes(dir + "/memory.stat"));
    free = std::min(free, *ceiling - std::min(*ceiling, held));
  };
  for (const CgroupPath& group : CgroupsOf(proc, "memory")) {
    const std::string root = std::string(cgroup_root) + (group.v2 ? "" : "/memory");
    ForEachAncestor(root, group.path, [&](const std::string& dir) {
      if (group.v2) {
        limit(dir, "/memory.max", "/memory.current");
      } else {
        limit(dir, "/memory.limit_in_bytes", "/memory.usage_in_bytes");
      }
    });
  }
  return free;
}

}  // namespace mach
