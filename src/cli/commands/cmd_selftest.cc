#include "cli/commands/cmd_selftest.h"

#include <cstdio>
#include <string>

#include "cli/exit_codes.h"
#include "io/async_reader.h"
#include "kernels/table.h"

namespace mach::cli {
namespace {

// reason: why `what` does not work; empty: it does.
std::string Found(const char* what, const std::string& reason) {
  if (reason.empty()) return std::string(what) + " works";
  return reason.starts_with(what) ? reason : std::string(what) + ": " + reason;
}

}  // namespace

int RunSelftest(const SelftestOptions& options) {
  const auto forced = options.isa == "auto" ? std::nullopt : kernels::IsaFromName(options.isa);
  const auto table = kernels::SelectKernels(forced);
  const Status kernels = table ? kernels::SelfTest(**table) : Status(table.error());
  const io::ReadProbe reads = io::ProbeReaders(options.file);
  const bool direct = reads.io_uring.empty() || reads.pread.empty();

  std::printf("kernels %s: %s\n",
              table ? std::string(kernels::IsaName((*table)->isa)).c_str() : options.isa.c_str(),
              kernels ? "equal the scalar code" : kernels.error().message.c_str());
  std::printf("direct reads of %s: %s; %s\n", options.file.c_str(),
              Found("io_uring", reads.io_uring).c_str(), Found("pread", reads.pread).c_str());
  const bool ready = kernels.ok() && direct;
  std::printf("native_extension=%s\n", ready ? "ready" : "missing");
  return ready ? kExitOk : kExitFailure;
}

}  // namespace mach::cli
