// Reads every tensor of a checkpoint and looks for numbers that are none.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace mach::io {

struct NonFiniteTensor {
  std::string name;
  std::string file;
  uint64_t count = 0;  // of its elements that are NaN or infinite
  uint64_t first = 0;  // index of the first of them
};

// Of tensors of a float type, weights and scales alike, in the order of their names. Fails where a
// file cannot be read, and with kCancelled when progress (bytes) returns false.
Result<std::vector<NonFiniteTensor>> FindNonFinite(
    const Checkpoint& checkpoint,
    const std::function<bool(uint64_t done, uint64_t total)>& progress);

}  // namespace mach::io
