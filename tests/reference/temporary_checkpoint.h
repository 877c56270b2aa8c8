// A random checkpoint on disk for as long as the object lives.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include <stdlib.h>

#include "base/check.h"
#include "reference/random_checkpoint.h"

namespace mach::reference {

class TemporaryCheckpoint {
 public:
  explicit TemporaryCheckpoint(const CheckpointSpec& spec) {
    directory_ = (std::filesystem::temp_directory_path() / "mach-reference-XXXXXX").string();
    MACH_CHECK(mkdtemp(directory_.data()) != nullptr);
    MACH_CHECK(WriteRandomCheckpoint(spec, directory_).ok());
  }
  TemporaryCheckpoint(const TemporaryCheckpoint&) = delete;
  TemporaryCheckpoint& operator=(const TemporaryCheckpoint&) = delete;
  ~TemporaryCheckpoint() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

}  // namespace mach::reference
