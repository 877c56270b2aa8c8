#include "residency/headers.h"

#include "io/lfs_pointer.h"
#include "io/path.h"
#include "io/recognise.h"
#include "json/value.h"
#include "model/arch_registry.h"

namespace mach::residency {
namespace {

// Files that are read later, when much has been done.
constexpr const char* kTextFiles[] = {"tokenizer.json", "tokenizer_config.json",
                                      "chat_template.jinja", "chat_template.json"};

Status CheckFetched(io::FileSystem& fs, const std::string& directory) {
  for (const char* name : kTextFiles) {
    const std::string path = io::JoinPath(directory, name);
    if (!fs.Exists(path)) continue;
    MACH_TRY(const auto file, fs.Open(path));
    if (const auto target = io::LfsPointerTarget(*file)) return io::LfsPointerError(path, *target);
  }
  return Ok();
}

}  // namespace

Result<Headers> Headers::Open(io::FileSystem& fs, const std::string& directory) {
  model::ModelConfig config;
  const auto check = [&](const json::Value& value) -> Status {
    if (auto role = io::RecogniseRole(fs, directory, value, io::Wanted::kModel)) return *role;
    auto parsed = model::ParseConfig(value);
    if (!parsed) return std::move(parsed).error().In(directory);
    config = *std::move(parsed);
    if (auto other = io::RecogniseQuantization(fs, directory, value)) return *other;
    return Ok();
  };
  MACH_TRY(auto checkpoint, io::Checkpoint::Open(fs, directory, check));
  auto source = io::TensorSource::Create(*checkpoint);
  if (!source) return std::move(source).error().In(directory);
  MACH_RETURN_IF_ERROR(CheckFetched(fs, directory));
  return Headers{std::move(checkpoint), std::move(config), *std::move(source)};
}

}  // namespace mach::residency
