// The multi-call program `mach`.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include <unistd.h>

#include "cli/bench/cmd_bench.h"
#include "cli/commands/cmd_archs.h"
#include "cli/commands/cmd_check.h"
#include "cli/commands/cmd_eval.h"
#include "cli/commands/cmd_export_sidecar.h"
#include "cli/commands/cmd_generate.h"
#include "cli/commands/cmd_models.h"
#include "cli/commands/cmd_selftest.h"
#include "cli/commands/cmd_serve.h"
#include "cli/commands/cmd_synth.h"
#include "cli/commands/cmd_verify.h"
#include "cli/illegal_instruction.h"
#include "cli/options/command_line.h"
#include "cli/options/environment.h"
#include "cli/output.h"
#include "cli/probe/cmd_probe.h"
#include "cli/version.h"
#include "kernels/table.h"

namespace mach::cli {
namespace {

const char* GetVariable(const char* name) { return std::getenv(name); }

int RunCommand(const ServeOptions& options) { return RunServe(options); }
int RunCommand(const GenerateOptions& options) { return RunGenerate(options); }
int RunCommand(const EvalOptions& options) { return RunEval(options); }
int RunCommand(const ArchsOptions& options) { return RunArchs(options); }
int RunCommand(const CheckCommandOptions& options) { return RunCheck(options); }
int RunCommand(const ModelsOptions& options) { return RunModels(options); }
int RunCommand(const ExportSidecarOptions& options) { return RunExportSidecar(options); }
int RunCommand(const VerifyOptions& options) { return RunVerify(options); }
int RunCommand(const SelftestOptions& options) { return RunSelftest(options); }
int RunCommand(const SynthCommandOptions& options) { return RunSynth(options); }
int RunCommand(const BenchDiskOptions& options) { return RunBenchDisk(options); }
int RunCommand(const BenchStreamingOptions& options) { return RunBenchStreaming(options); }
int RunCommand(const BenchTraceOptions& options) { return RunBenchTrace(options); }
int RunCommand(const BenchMatmulOptions& options) { return RunBenchMatmul(options); }
int RunCommand(const ProbeCommandOptions& options) { return RunProbeCommand(options); }

// What --isa chose; "auto" of commands without it.
template <class Options>
std::string IsaOf(const Options& options) {
  if constexpr (requires { options.isa; }) return options.isa;
  if constexpr (requires { options.model.isa; }) return options.model.isa;
  return "auto";
}

void ExplainFaults(const std::string& isa) {
  std::string available;
  for (const kernels::Isa known : kernels::AvailableIsas()) {
    available += (available.empty() ? "" : ", ") + std::string(kernels::IsaName(known));
  }
  ExplainIllegalInstructions(
      isa == "auto" ? kernels::IsaName(kernels::AvailableIsas().front()) : isa, available);
}

template <class Options>
int Run(const Invocation& invocation, const Options& options) {
  constexpr bool kHasLog = requires { options.log; };
  ExplainFaults(IsaOf(options));
  if constexpr (kHasLog) ConfigureLog(options.log);
  if (ReadsEnvironment(*invocation.command)) {
    for (const std::string& warning : UnknownVariables(environ)) LogWarning(warning);
  }
  if (kHasLog) {
    for (const std::string& variable : invocation.environment) LogInfo("environment " + variable);
    for (const std::string& variable : IdleVariables(*invocation.command, GetVariable)) {
      LogInfo("environment " + variable);
    }
  }
  return RunCommand(options);
}

}  // namespace
}  // namespace mach::cli

int main(int argc, char** argv) {
  using namespace mach::cli;
  MakeWritesFail();
  const std::vector<std::string> args(argv, argv + argc);
  const auto parsed = ParseCommandLine(args, GetVariable, kVersion);
  if (const auto* answer = std::get_if<Answer>(&parsed)) {
    WriteOutput(answer->out);
    std::fputs(answer->err.c_str(), stderr);
    return FinishOutput(answer->exit_code);
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  return FinishOutput(std::visit([&](const auto& options) { return Run(invocation, options); },
                                 invocation.options));
}
