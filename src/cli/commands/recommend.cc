#include "cli/commands/recommend.h"

#include <algorithm>

#include "base/shell_words.h"
#include "base/topology.h"
#include "base/units.h"
#include "io/path.h"

namespace mach::cli {
namespace {

const ModeReport* Find(const CheckReport& report, std::string_view name) {
  for (const ModeReport& mode : report.modes) {
    if (mode.mode == name) return &mode;
  }
  return nullptr;
}

bool Fits(const ModeReport* mode) { return mode != nullptr && mode->verdict != Verdict::kWontFit; }

// "a" of "a", "mach" of "mach-serve", with the directory that was typed before it.
std::string Program(const std::vector<std::string>& words) {
  std::string typed = words.empty() ? "mach" : words.front();
  const std::string_view name = io::FileName(typed);
  if (!name.starts_with("mach-")) return typed;
  return typed.substr(0, typed.size() - name.size()) + "mach";
}

}  // namespace

Recommendation Recommend(const CheckReport& report, bool bf16_streaming) {
  Recommendation made;
  const ModeReport* stacked = Find(report, "stacked");
  const ModeReport* disk = Find(report, bf16_streaming ? "bf16_streaming" : "streaming");
  const std::string ceiling = "the ceiling of " + BytesText(report.ceiling) + " (--wired-gb)";
  if (Fits(stacked) && !bf16_streaming) {
    made.mode = stacked;
    made.flag = "--no-streaming";
    made.reason = report.needs.expert_count == 0 ? "the model has no experts that could stream"
                                                 : "all experts fit into memory: with the rest " +
                                                       BytesText(stacked->bytes) + " of " + ceiling;
    return made;
  }
  const std::string beyond = "all experts in memory would take " +
                             BytesText(report.needs.resident() + report.needs.all_experts()) +
                             " with the rest, more than " + ceiling;
  if (Fits(disk)) {
    made.mode = disk;
    made.flag = "--streaming";
    made.reason = (bf16_streaming ? std::string("--bf16-streaming asks for it") : beyond) + "; " +
                  disk->reason;
    made.export_first = !bf16_streaming && !report.sidecar_problem.empty();
    return made;
  }
  // What streaming takes at least; of a model without experts, all of it.
  const ModeReport* least = disk != nullptr && disk->bytes != 0 ? disk : stacked;
  made.reason = beyond;
  if (least == nullptr || least->bytes == 0) return made;
  made.reason += ", and streaming at least " + BytesText(least->bytes);
  if (least == stacked) made.reason = beyond;
  if (least->bytes <= report.free_bytes) {
    made.flag = least == stacked ? "--no-streaming" : "--streaming";
    made.wired_gb = GigabytesUp(least->bytes);
    made.export_first = least == disk && !bf16_streaming && !report.sidecar_problem.empty();
  } else {
    made.reason += "; " + BytesText(report.free_bytes) +
                   " are free on this machine: free some memory, lower --ctx-size, or take a "
                   "smaller model";
  }
  return made;
}

std::string CommandWith(const std::vector<std::string>& words, const std::string& flag,
                        const std::string& wired_gb) {
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!wired_gb.empty() && words[i].starts_with("--wired-gb=")) continue;
    if (!wired_gb.empty() && words[i] == "--wired-gb") {
      ++i;
      continue;
    }
    out.push_back(words[i]);
  }
  const auto end = std::ranges::find(out, "--");
  std::vector<std::string> added = {flag};
  if (!wired_gb.empty()) added.insert(added.end(), {"--wired-gb", wired_gb});
  out.insert(end, added.begin(), added.end());
  return ShellCommand(out);
}

std::string ExportCommandFor(const ModelOptions& options) {
  std::vector<std::string> words = {Program(options.words), "export-sidecar", options.checkpoint};
  if (!options.sidecar_dir.empty()) {
    words.insert(words.end(), {"--output", options.sidecar_dir});
  }
  return ShellCommand(words);
}

Result<std::string> RecommendationText(const ModelOptions& options, const DraftOptions& draft) {
  MACH_TRY(const size_t free, FreeMemoryBytes());
  MACH_TRY(const CheckReport report,
           CheckCheckpoint(io::PosixFileSystem(), CheckOptionsOf(options, draft, free)));
  const Recommendation best = Recommend(report, options.bf16_streaming);
  if (best.flag.empty()) return "Nothing fits this machine: " + best.reason + ".\n";
  std::string text = best.wired_gb.empty()
                         ? "mach check recommends " + best.flag + ": " + best.reason + ".\n"
                         : "Nothing fits: " + best.reason + ". With a higher ceiling:\n";
  if (best.export_first) {
    const std::string problem = report.sidecar_problem.substr(0, report.sidecar_problem.find(';'));
    text += "The sidecar comes first (" + problem + "):\n  " + ExportCommandFor(options) + "\n";
  }
  return text + "  " + CommandWith(options.words, best.flag, best.wired_gb) + "\n";
}

std::string AdviceWhenTooLarge(const ModelOptions& options, const DraftOptions& draft,
                               const Error& error) {
  if (error.code != Code::kNoMemory || options.streaming || options.no_streaming) return "";
  const auto text = RecommendationText(options, draft);
  return text ? *text : "";
}

}  // namespace mach::cli
