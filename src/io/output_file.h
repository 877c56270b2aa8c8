// A file being written that appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace mach::io {

// Used by one thread at a time. Destruction without Commit leaves nothing behind.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual const std::string& path() const = 0;  // the final name
  // Appends. After an error only destruction is allowed.
  virtual Status Write(std::span<const std::byte> data) = 0;
  // Makes what was written durable and gives it its name, replacing an older file. Once.
  virtual Status Commit() = 0;
};

// Writes beside `path` under a temporary name. kIo names the path and the system's reason ("No
// space left on device").
Result<std::unique_ptr<OutputFile>> CreateOutputFile(const std::string& path);

}  // namespace mach::io
