#include "cli/commands/cmd_models.h"

#include <algorithm>
#include <cstdio>

#include "base/units.h"
#include "cli/exit_codes.h"
#include "io/checkpoint.h"
#include "io/path.h"
#include "io/recognise.h"
#include "json/write.h"
#include "residency/headers.h"
#include "residency/plan.h"

namespace mach::cli {
namespace {

// What is no model but was probably meant to be one; listed with what is wrong.
constexpr std::string_view kListedKinds[] = {"gguf", "pytorch", "adapter", "hub cache"};

std::string_view StateOf(const Error& error) {
  return error.code == Code::kUnsupported ? "unsupported" : "incomplete";
}

InstalledModel Describe(io::FileSystem& fs, const std::string& name, const std::string& path) {
  InstalledModel model{.name = name, .path = path};
  const auto ended = [&](std::string_view state, const Error& error) {
    model.state = state;
    model.detail = error.message;
    return model;
  };
  bool drafter = false;
  const auto checkpoint = io::Checkpoint::Open(fs, path, [&](const json::Value& config) {
    drafter = io::IsDrafterConfig(config);
    return Ok();
  });
  if (drafter) {
    if (!checkpoint) return ended("incomplete", checkpoint.error());
    model.bytes = (*checkpoint)->tensor_bytes();
    model.state = "drafter";
    return model;
  }
  if (checkpoint) model.bytes = (*checkpoint)->tensor_bytes();
  const auto headers = residency::Headers::Open(fs, path);
  if (!headers) return ended(StateOf(headers.error()), headers.error());
  model.architecture = headers->config.architecture;
  const auto needs = residency::MeasureNeeds(headers->config, headers->source,
                                             {.context_tokens = 1, .max_rows = 1, .threads = 1});
  if (!needs) return ended(StateOf(needs.error()), needs.error());
  if (!headers->checkpoint->HasFile("tokenizer.json")) {
    return ended("incomplete", {Code::kNotFound, path + ": there is no tokenizer.json"});
  }
  model.state = "ready";
  return model;
}

// An entry of a directory without config.json; nothing when it has nothing to do with models.
std::optional<InstalledModel> DescribeOther(io::FileSystem& fs, const std::string& name,
                                            const std::string& path) {
  if (const std::string id = io::HubCacheId(name); !id.empty()) {
    const std::string snapshot = io::HubCacheSnapshot(fs, path);
    if (!snapshot.empty() && fs.Exists(snapshot + "/config.json"))
      return Describe(fs, id, snapshot);
  }
  const auto other = io::RecogniseOther(fs, path);
  if (!other || std::ranges::find(kListedKinds, other->kind) == std::end(kListedKinds)) {
    return std::nullopt;
  }
  return InstalledModel{.name = name,
                        .path = path,
                        .state = std::string(StateOf(other->error)),
                        .detail = other->error.message};
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
  auto names = fs.List(directory);
  if (!names) {
    const auto other = io::RecogniseOther(fs, directory);
    return other ? other->error : std::move(names).error();
  }
  for (const std::string& name : *names) {
    const std::string path = io::JoinPath(directory, name);
    if (fs.Exists(path + "/config.json")) {
      models.push_back(Describe(fs, name, path));
    } else if (auto other = DescribeOther(fs, name, path)) {
      models.push_back(*std::move(other));
    }
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
                ": there is no model in it (no directory with a config.json); name another one "
                "with --dir\n")
                   .c_str(),
               stderr);
    return kExitFailure;
  }
  std::fputs((options.json ? Json(*models) : Table(*models)).c_str(), stdout);
  return kExitOk;
}

}  // namespace mach::cli
