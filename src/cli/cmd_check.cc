#include "cli/cmd_check.h"

#include <cmath>
#include <cstdio>

#include "base/topology.h"
#include "base/units.h"
#include "cli/check_report.h"
#include "json/write.h"

namespace mach::cli {

int RunCheck(const CheckCommandOptions& options) {
  const auto fail = [](const Error& error) {
    std::fputs(("mach check: " + error.message + "\n").c_str(), stderr);
    return kExitUnreadable;
  };
  const auto free = FreeMemoryBytes();
  if (!free) return fail(free.error());
  CheckOptions check;
  check.checkpoint = options.checkpoint;
  if (options.wired_gb) check.wired_bytes = BytesOfGigabytes(*options.wired_gb);
  check.ctx_size = options.ctx_size;
  check.threads = options.threads;
  check.chunk = options.chunk;
  check.sidecar_dir = options.sidecar_dir;
  check.draft = options.draft;
  check.compute_f32 = options.compute_f32;
  check.allow_fallback = options.allow_fallback;
  check.free_bytes = *free;
  const auto report = CheckCheckpoint(io::PosixFileSystem(), check);
  if (!report) return fail(report.error());
  const std::string text =
      options.json ? json::Write(ToJson(*report), {.indent = 2, .key_separator = ": "}) + "\n"
                   : ToText(*report);
  std::fputs(text.c_str(), stdout);
  return report->text_problem.empty() ? static_cast<int>(report->verdict()) : kExitUnreadable;
}

}  // namespace mach::cli
