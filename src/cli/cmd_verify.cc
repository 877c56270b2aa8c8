#include "cli/cmd_verify.h"

#include <algorithm>
#include <cstdio>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "io/sidecar_verify.h"
#include "model/headers.h"
#include "model/plan.h"
#include "model/sidecar.h"

namespace mach::cli {
namespace {

constexpr size_t kMostListed = 20;

// The number of damaged records; those beyond some are not listed.
Result<size_t> Verify(const VerifyOptions& options) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const auto headers, model::Headers::Open(fs, options.checkpoint));
  const auto in_checkpoint = [&](Error error) { return std::move(error).In(options.checkpoint); };
  const auto needs = model::MeasureNeeds(headers.config, headers.source,
                                         {.context_tokens = 1, .max_rows = 1, .threads = 1});
  if (!needs) return in_checkpoint(needs.error());
  std::printf("checkpoint ok: every tensor of %s is there\n", headers.config.architecture.c_str());
  if (needs->expert_count == 0) return size_t{0};

  MACH_TRY(const io::Sidecar sidecar,
           model::OpenSidecar(fs, *headers.checkpoint, headers.config, options.sidecar_dir));
  std::printf("sidecar ok: %s matches the checkpoint\n", sidecar.directory().c_str());
  if (!options.all) return size_t{0};
  const InterruptFlag interrupted;
  Progress progress("verifying experts");
  MACH_TRY(const auto damaged, io::VerifyRecords(fs, sidecar, [&](uint64_t done, uint64_t total) {
             progress.Update(done, total);
             return !interrupted.raised();
           }));
  for (size_t i = 0; i < std::min(damaged.size(), kMostListed); ++i) {
    const io::DamagedRecord& d = damaged[i];
    std::printf("damaged: layer %llu expert %llu: %s\n", static_cast<unsigned long long>(d.layer),
                static_cast<unsigned long long>(d.expert), d.reason.c_str());
  }
  if (damaged.empty()) std::printf("records ok: %zu checksums hold\n", needs->expert_count);
  return damaged.size();
}

}  // namespace

int RunVerify(const VerifyOptions& options) {
  const auto damaged = Verify(options);
  std::fflush(stdout);
  if (!damaged) {
    std::fputs(("mach verify: " + damaged.error().message + "\n").c_str(), stderr);
    return damaged.error().code == Code::kCancelled ? kExitTerminated : kExitFailure;
  }
  if (*damaged == 0) return kExitOk;
  std::fputs(("mach verify: " + std::to_string(*damaged) +
              " records are damaged; write the sidecar again with '" +
              model::ExportCommand(options.checkpoint, options.sidecar_dir) + "'\n")
                 .c_str(),
             stderr);
  return kExitFailure;
}

}  // namespace mach::cli
