// `mach models`: what is installed, and in which state.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"
#include "io/file.h"

namespace mach::cli {

struct InstalledModel {
  std::string name;  // of its directory
  std::string path;
  std::string architecture;  // empty when unknown
  uint64_t bytes = 0;        // of its tensors
  // "ready", "drafter" (of DFlash, for another model), "incomplete" or "unsupported".
  std::string state;
  std::string detail;  // why it is not ready; empty when it is
};

// Every directory in `directory` that has a config.json, by name; `directory` itself when it has
// one. Snapshots of Hugging Face's cache are listed by their ids, and what is a model in a format
// that is not read (GGUF, PyTorch, adapters) with its reason. Headers only.
Result<std::vector<InstalledModel>> FindModels(io::FileSystem& fs, const std::string& directory);

int RunModels(const ModelsOptions& options);

}  // namespace mach::cli
