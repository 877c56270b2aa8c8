#include "cli/commands/cmd_verify.h"

#include <algorithm>
#include <cstdio>

#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "io/checkpoint_verify.h"
#include "io/sidecar_verify.h"
#include "residency/headers.h"
#include "residency/plan.h"
#include "residency/sidecar.h"

namespace mach::cli {
namespace {

constexpr size_t kMostListed = 20;

// What does not belong into a model; no more than kMostListed of each are listed.
struct Findings {
  size_t tensors = 0;  // with numbers that are not finite
  size_t records = 0;  // damaged
};

Result<size_t> VerifyWeights(const io::Checkpoint& checkpoint, const InterruptFlag& interrupted) {
  Progress progress("reading weights");
  MACH_TRY(const auto broken, io::FindNonFinite(checkpoint, [&](uint64_t done, uint64_t total) {
             progress.Update(done, total);
             return !interrupted.raised();
           }));
  for (size_t i = 0; i < std::min(broken.size(), kMostListed); ++i) {
    const io::NonFiniteTensor& b = broken[i];
    std::printf("not finite: '%s' in '%s': %llu values, the first at index %llu\n", b.name.c_str(),
                b.file.c_str(), static_cast<unsigned long long>(b.count),
                static_cast<unsigned long long>(b.first));
  }
  if (broken.empty()) std::printf("weights ok: every number is finite\n");
  return broken.size();
}

Result<Findings> Verify(const VerifyOptions& options) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const auto headers, residency::Headers::Open(fs, options.checkpoint));
  const auto in_checkpoint = [&](Error error) { return std::move(error).In(options.checkpoint); };
  const auto needs = residency::MeasureNeeds(headers.config, headers.source,
                                             {.context_tokens = 1, .max_rows = 1, .threads = 1});
  if (!needs) return in_checkpoint(needs.error());
  std::printf("checkpoint ok: every tensor of %s is there\n", headers.config.architecture.c_str());
  const InterruptFlag interrupted;
  Findings found;
  if (options.all) {
    auto broken = VerifyWeights(*headers.checkpoint, interrupted);
    if (!broken) return in_checkpoint(std::move(broken).error());
    found.tensors = *broken;
  }
  if (needs->expert_count == 0) return found;

  MACH_TRY(const io::Sidecar sidecar,
           residency::OpenSidecar(fs, *headers.checkpoint, headers.config, options.sidecar_dir));
  std::printf("sidecar ok: %s matches the checkpoint\n", sidecar.directory().c_str());
  if (!options.all) return found;
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
  found.records = damaged.size();
  return found;
}

}  // namespace

int RunVerify(const VerifyOptions& options) {
  const auto found = Verify(options);
  std::fflush(stdout);
  const auto say = [](const std::string& text) {
    std::fputs(("mach verify: " + text + "\n").c_str(), stderr);
  };
  if (!found) {
    say(found.error().message);
    return found.error().code == Code::kCancelled ? kExitTerminated : kExitFailure;
  }
  if (found->tensors != 0) {
    say(std::to_string(found->tensors) +
        " tensors hold numbers that are not finite; download the model again");
  }
  if (found->records != 0) {
    say(std::to_string(found->records) + " records are damaged; write the sidecar again with '" +
        residency::ExportCommand(options.checkpoint, options.sidecar_dir) + "'");
  }
  return found->tensors + found->records == 0 ? kExitOk : kExitFailure;
}

}  // namespace mach::cli
