#include "io/model_name.h"

#include <filesystem>
#include <system_error>

namespace mach::io {

std::string ModelName(const std::string& directory) {
  std::error_code failed;
  std::filesystem::path path = std::filesystem::absolute(directory, failed);
  if (failed) path = directory;
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // of "models/x/"
  const std::filesystem::path above = path.parent_path();
  if (above.filename() == "snapshots") {
    const std::string repository = above.parent_path().filename().string();
    const size_t at = repository.rfind("--");
    if (repository.starts_with("models--") && at + 2 < repository.size()) {
      return repository.substr(at + 2);
    }
  }
  const std::string name = path.filename().string();
  return name.empty() ? "model" : name;
}

}  // namespace mach::io
