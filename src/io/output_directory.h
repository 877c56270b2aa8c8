// A directory being written that appears under its name only when it is whole, and that can be
// taken up again after the writer was killed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/output_file.h"

namespace mach::io {

// Used by one thread at a time. Files committed before an error or a kill stay, for the next
// attempt, in "NAME.partial", which nobody takes for the directory.
class OutputDirectory {
 public:
  virtual ~OutputDirectory() = default;
  virtual const std::string& path() const = 0;     // the final name
  virtual const std::string& staging() const = 0;  // where files lie until Publish

  // A file of the directory; takes its name on Commit, replacing an older one.
  virtual Result<std::unique_ptr<OutputFile>> Create(const std::string& name) = 0;
  virtual Status Remove(const std::string& name) = 0;  // fine when there is none
  // Bytes that files may still take.
  virtual Result<uint64_t> FreeBytes() = 0;
  // Gives the directory its name. A directory that had it is gone after that. Once.
  virtual Status Publish() = 0;
};

// kBusy when another process is writing the same directory.
Result<std::unique_ptr<OutputDirectory>> OpenOutputDirectory(const std::string& path);

}  // namespace mach::io
