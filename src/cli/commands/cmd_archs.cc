#include "cli/commands/cmd_archs.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "cli/exit_codes.h"
#include "json/write.h"
#include "model/arch_registry.h"

namespace mach::cli {
namespace {

struct Column {
  const char* title;
  std::string_view model::Arch::*field;
};
constexpr Column kColumns[] = {{"ARCHITECTURE", &model::Arch::name},
                               {"GGUF", &model::Arch::gguf_name},
                               {"LAYERS", &model::Arch::mixers},
                               {"MODELS", &model::Arch::models}};

std::string Json() {
  json::Array rows;
  for (const model::Arch& arch : model::Archs()) {
    rows.push_back(json::Object{{"name", arch.name},
                                {"text_model_type", arch.text_type},
                                {"gguf_name", arch.gguf_name},
                                {"layers", arch.mixers},
                                {"models", arch.models}});
  }
  return json::Write(rows, {.indent = 2, .key_separator = ": "}) + "\n";
}

std::string Table() {
  std::string out;
  const auto cell = [&](std::string_view text, size_t width, bool last) {
    out += text;
    out += last ? std::string("\n") : std::string(width - text.size() + 2, ' ');
  };
  const auto width = [](const Column& column) {
    size_t most = std::string_view(column.title).size();
    for (const model::Arch& arch : model::Archs())
      most = std::max(most, (arch.*column.field).size());
    return most;
  };
  const size_t last = std::size(kColumns) - 1;
  for (size_t c = 0; c <= last; ++c) cell(kColumns[c].title, width(kColumns[c]), c == last);
  for (const model::Arch& arch : model::Archs()) {
    for (size_t c = 0; c <= last; ++c) cell(arch.*kColumns[c].field, width(kColumns[c]), c == last);
  }
  return out;
}

}  // namespace

int RunArchs(const ArchsOptions& options) {
  std::fputs((options.json ? Json() : Table()).c_str(), stdout);
  return kExitOk;
}

}  // namespace mach::cli
