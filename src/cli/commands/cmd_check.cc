#include "cli/commands/cmd_check.h"

#include <cmath>
#include <cstdio>

#include "base/topology.h"
#include "base/units.h"
#include "cli/commands/check_report.h"
#include "cli/commands/recommend.h"
#include "io/file.h"
#include "json/write.h"

namespace mach::cli {

int RunCheck(const CheckCommandOptions& options) {
  const auto fail = [](const Error& error) {
    std::fputs(("mach check: " + error.message + "\n").c_str(), stderr);
    return kExitUnreadable;
  };
  const auto free = FreeMemoryBytes();
  if (!free) return fail(free.error());
  const auto report =
      CheckCheckpoint(io::PosixFileSystem(), CheckOptionsOf(options.model, options.draft, *free));
  if (!report) return fail(report.error());
  const Recommendation best = Recommend(*report, false);
  std::string text;
  if (options.json) {
    json::Value value = ToJson(*report);
    value.AsObject().Set("recommended", json::Object{{"flag", best.flag},
                                                     {"reason", best.reason},
                                                     {"wired_gb", best.wired_gb},
                                                     {"export_first", best.export_first}});
    text = json::Write(value, {.indent = 2, .key_separator = ": "}) + "\n";
  } else {
    text = ToText(*report) + "  recommended     " + (best.flag.empty() ? "none" : best.flag) +
           (best.wired_gb.empty() ? "" : " --wired-gb " + best.wired_gb) + ": " + best.reason +
           "\n";
  }
  std::fputs(text.c_str(), stdout);
  return report->loadable() ? static_cast<int>(report->verdict()) : kExitUnreadable;
}

}  // namespace mach::cli
