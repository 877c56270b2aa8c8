#include "cli/cmd_models.h"

#include <algorithm>
#include <cstdio>

#include "base/units.h"
#include "cli/check_report.h"
#include "io/checkpoint.h"
#include "json/parse.h"
#include "json/write.h"
#include "model/arch_registry.h"
#include "model/plan.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxConfigBytes = size_t{16} << 20;

bool IsDrafter(const json::Value& config) {
  const json::Value* names = config.Find("architectures");
  if (names == nullptr || !names->is_array()) return false;
  for (const json::Value& name : names->AsArray()) {
    if (name.is_string() && name.AsString().find("DFlash") != std::string::npos) return true;
  }
  return false;
}

InstalledModel Describe(io::FileSystem& fs, const std::string& name, const std::string& path) {
  InstalledModel model{.name = name, .path = path};
  const auto ended = [&](std::string_view state, const Error& error) {
    model.state = state;
    model.detail = error.message;
    return model;
  };
  const auto text = io::ReadSmallFile(fs, path + "/config.json", kMaxConfigBytes);
  if (!text) return ended("incomplete", text.error());
  const auto raw = json::Parse(*text);
  if (!raw) return ended("incomplete", raw.error());
  const auto checkpoint = io::Checkpoint::Open(fs, path);
  if (!checkpoint) return ended("incomplete", checkpoint.error());
  model.bytes = (*checkpoint)->tensor_bytes();
  if (IsDrafter(*raw)) {
    model.state = "drafter";
    return model;
  }
  const auto config = model::ParseConfig((*checkpoint)->config());
  if (!config) return ended("unsupported", config.error());
  model.architecture = config->architecture;
  const auto source = io::TensorSource::Create(**checkpoint);
  if (!source) return ended("unsupported", source.error());
  const auto needs =
      model::MeasureNeeds(*config, *source, {.context_tokens = 1, .max_rows = 1, .threads = 1});
  if (!needs) {
    return ended(needs.error().code == Code::kUnsupported ? "unsupported" : "incomplete",
                 needs.error());
  }
  if (!(*checkpoint)->HasFile("tokenizer.json")) {
    return ended("incomplete", {Code::kNotFound, path + ": there is no tokenizer.json"});
  }
  model.state = "ready";
  return model;
}

std::string Table(const std::vector<InstalledModel>& models) {
  size_t widest = 4;
  for (const InstalledModel& m : models) widest = std::max(widest, m.name.size());
  const auto row = [&](const std::string& name, const std::string& state, const std::string& size,
                       const std::string& rest) {
    const auto pad = [](std::string text, size_t width) {
      text.resize(std::max(text.size(), width), ' ');
      return text;
    };
    return pad(name, widest) + "  " + pad(state, 11) + "  " + pad(size, 10) + "  " + rest + "\n";
  };
  std::string out = row("NAME", "STATE", "SIZE", "ARCHITECTURE");
  for (const InstalledModel& m : models) {
    out += row(m.name, m.state, BytesText(m.bytes), m.detail.empty() ? m.architecture : m.detail);
  }
  return out;
}

std::string Json(const std::vector<InstalledModel>& models) {
  json::Array rows;
  for (const InstalledModel& m : models) {
    rows.push_back(json::Object{{"name", m.name},
                                {"path", m.path},
                                {"state", m.state},
                                {"architecture", m.architecture},
                                {"bytes", static_cast<int64_t>(m.bytes)},
                                {"detail", m.detail}});
  }
  return json::Write(rows, {.indent = 2, .key_separator = ": "}) + "\n";
}

}  // namespace

Result<std::vector<InstalledModel>> FindModels(io::FileSystem& fs, const std::string& directory) {
  std::vector<InstalledModel> models;
  if (fs.Exists(directory + "/config.json")) {
    models.push_back(Describe(fs, directory, directory));
    return models;
  }
  MACH_TRY(const std::vector<std::string> names, fs.List(directory));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    if (fs.Exists(path + "/config.json")) models.push_back(Describe(fs, name, path));
  }
  return models;
}

int RunModels(const ModelsOptions& options) {
  const auto models = FindModels(io::PosixFileSystem(), options.directory);
  if (!models) {
    std::fputs(("mach models: " + models.error().message + "\n").c_str(), stderr);
    return kExitFailure;
  }
  if (models->empty() && !options.json) {
    std::fputs(("mach models: " + options.directory +
                ": no directory in it has a config.json; name another one with --dir\n")
                   .c_str(),
               stderr);
    return kExitFailure;
  }
  std::fputs((options.json ? Json(*models) : Table(*models)).c_str(), stdout);
  return kExitOk;
}

}  // namespace mach::cli
