// Reads every record of a sidecar and compares its checksum.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/sidecar.h"

namespace mach::io {

struct DamagedRecord {
  uint64_t layer = 0;
  uint64_t expert = 0;
  std::string reason;  // with the file
};

// Goes on after damage, so that one run tells all of it. Fails only with kCancelled, when progress
// (bytes) returns false.
Result<std::vector<DamagedRecord>> VerifyRecords(
    FileSystem& fs, const Sidecar& sidecar,
    const std::function<bool(uint64_t done, uint64_t total)>& progress);

}  // namespace mach::io
