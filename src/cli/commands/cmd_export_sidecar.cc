#include "cli/commands/cmd_export_sidecar.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/shell_words.h"
#include "base/topology.h"
#include "base/units.h"
#include "cli/commands/check_report.h"
#include "cli/commands/thread_advice.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/version.h"
#include "io/writable.h"
#include "model/config.h"
#include "ops/ffn.h"
#include "residency/headers.h"
#include "residency/sidecar.h"
#include "residency/sidecar_export.h"

namespace mach::cli {
namespace {

std::string DefaultOutput(const std::string& checkpoint) {
  return checkpoint + "/" + std::string(io::kSidecarDirectory);
}

residency::SidecarBits BitsFrom(const std::string& name) {
  if (name == "4") return residency::SidecarBits::k4;
  if (name == "8") return residency::SidecarBits::k8;
  if (name == "16") return residency::SidecarBits::k16;
  return residency::SidecarBits::kKeep;
}

Status CheckSpace(io::OutputDirectory& directory, const io::SidecarWriter& writer,
                  const model::ModelConfig& config) {
  uint64_t needed = 0;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    if (moe != nullptr && !writer.IsFinished(i)) {
      needed += moe->experts * writer.manifest().record_stride;
    }
  }
  MACH_TRY(const uint64_t free, directory.FreeBytes());
  if (needed <= free) return Ok();
  return Error{Code::kIo, "'" + directory.path() + "': the sidecar needs " + BytesText(needed) +
                              ", the disk has " + BytesText(free) +
                              " free; make room, or name another disk with --output"};
}

Status Export(const ExportSidecarOptions& options, const std::string& output) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const auto headers, residency::Headers::Open(fs, options.checkpoint));
  const auto in_checkpoint = [&](Error error) { return std::move(error).In(options.checkpoint); };

  const InterruptFlag interrupted;
  Progress progress("exporting experts");
  residency::SidecarExport asked;
  asked.bits = BitsFrom(options.bits);
  asked.experts = options.num_experts;
  asked.tool = std::string("mach ") + kVersion;
  asked.progress = [&](uint64_t done, uint64_t total) {
    progress.Update(done, total);
    return !interrupted.raised();
  };
  const auto layout = residency::ExportLayout(headers.config, headers.source, asked);
  if (!layout) return in_checkpoint(layout.error());
  MACH_TRY(const std::string fingerprint, io::FingerprintCheckpoint(fs, *headers.checkpoint));
  auto opened_directory = io::OpenOutputDirectory(output);
  if (!opened_directory && options.output.empty() && !io::CheckWritable(options.checkpoint)) {
    return Error{opened_directory.error().code, opened_directory.error().message +
                                                    "; the model's directory cannot be written to: "
                                                    "write the sidecar elsewhere with --output "
                                                    "DIR, and serve it with --sidecar-dir DIR"};
  }
  MACH_TRY(const auto directory, std::move(opened_directory));
  const io::SidecarManifest manifest =
      residency::MakeManifest(headers.config, *layout, fingerprint, asked.tool);
  auto opened = [&] {
    Progress checking("checking what was exported before");
    return io::SidecarWriter::Open(fs, *directory, manifest, [&](uint64_t done, uint64_t total) {
      checking.Update(done, total);
      return !interrupted.raised();
    });
  }();
  MACH_TRY(const auto writer, std::move(opened));
  MACH_RETURN_IF_ERROR(CheckSpace(*directory, *writer, headers.config));
  const std::string slow = TooManyThreads("--jobs", options.jobs, AvailableCpus());
  if (!slow.empty()) std::fputs(("mach export-sidecar: " + slow + "\n").c_str(), stderr);
  ThreadPool pool(options.jobs != 0 ? options.jobs : AvailableCpus());
  return residency::ExportSidecar(headers.config, headers.source, *layout, asked, pool, *writer);
}

}  // namespace

int RunExportSidecar(const ExportSidecarOptions& options) {
  const std::string output =
      options.output.empty() ? DefaultOutput(options.checkpoint) : options.output;
  if (const Status done = Export(options, output); !done) {
    std::fputs(("mach export-sidecar: " + done.error().message + "\n").c_str(), stderr);
    return done.error().code == Code::kCancelled ? kExitTerminated : kExitFailure;
  }
  std::vector<std::string> serve = {"mach", "serve", options.checkpoint, "--streaming"};
  if (!options.output.empty()) serve.insert(serve.end(), {"--sidecar-dir", output});
  std::printf("wrote %s\ntry:\n  %s\n", output.c_str(), ShellCommand(serve).c_str());
  return kExitOk;
}

}  // namespace mach::cli
