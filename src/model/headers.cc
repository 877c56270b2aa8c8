#include "model/headers.h"

#include "model/arch_registry.h"

namespace mach::model {

Result<Headers> Headers::Open(io::FileSystem& fs, const std::string& directory) {
  MACH_TRY(auto checkpoint, io::Checkpoint::Open(fs, directory));
  auto config = ParseConfig(checkpoint->config());
  if (!config) return std::move(config).error().In(directory);
  auto source = io::TensorSource::Create(*checkpoint);
  if (!source) return std::move(source).error().In(directory);
  return Headers{std::move(checkpoint), *std::move(config), *std::move(source)};
}

}  // namespace mach::model
