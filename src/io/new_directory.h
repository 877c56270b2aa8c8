// A new directory that appears under its name only when it is whole. Unlike OutputDirectory it is
// never taken up again and never replaces what is there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace mach::io {

// Used by one thread at a time. Destruction without Publish removes what was written.
class NewDirectory {
 public:
  // Makes "PATH.partial", for files to be written into. kInvalidArgument when PATH exists and is
  // not an empty directory, kBusy when "PATH.partial" exists.
  static Result<NewDirectory> Create(const std::string& path);
  NewDirectory(NewDirectory&& o) noexcept;
  NewDirectory& operator=(NewDirectory&&) = delete;
  ~NewDirectory();

  const std::string& path() const { return path_; }  // absolute
  const std::string& staging() const { return staging_; }
  // Bytes that files may still take.
  Result<uint64_t> FreeBytes() const;
  // Gives the directory its name, durably. Once.
  Status Publish();

 private:
  NewDirectory(std::string path, std::string staging)
      : path_(std::move(path)), staging_(std::move(staging)) {}
  std::string path_;
  std::string staging_;  // empty once it has its name
};

}  // namespace mach::io
