// The multi-call program `mach`.
#include <cstdio>
#include <cstdlib>
#include <string>
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
#include "cli/options/environment.h"
#include "cli/output.h"
#include "cli/probe/cmd_probe.h"
#include "cli/version.h"
#include "kernels/table.h"

namespace mach::cli {
namespace {

const char* GetVariable(const char* name) { return std::getenv(name); }

void ExplainFaults(const Invocation& invocation) {
  std::string available;
  for (const kernels::Isa isa : kernels::AvailableIsas()) {
    available += (available.empty() ? "" : ", ") + std::string(kernels::IsaName(isa));
  }
  std::string chosen = "auto";
  for (const Option& option : invocation.command->options) {
    if (option.name == "isa") chosen = invocation.values.Text("isa");
  }
  ExplainIllegalInstructions(
      chosen == "auto" ? kernels::IsaName(kernels::AvailableIsas().front()) : chosen, available);
}

int Run(const Invocation& invocation) {
  const Values& values = invocation.values;
  const std::string_view name = invocation.command->name;
  const bool has_log = name == "serve" || name == "generate" || name == "eval";
  if (has_log) ConfigureLog(LogOptionsFrom(values));
  if (ReadsEnvironment(*invocation.command)) {
    for (const std::string& warning : UnknownVariables(environ)) LogWarning(warning);
  }
  if (name == "archs") return RunArchs(ArchsOptionsFrom(values));
  if (name == "check") return RunCheck(CheckOptionsFrom(values));
  if (name == "models") return RunModels(ModelsOptionsFrom(values));
  if (name == "export-sidecar") return RunExportSidecar(ExportSidecarOptionsFrom(values));
  if (name == "selftest") return RunSelftest(SelftestOptionsFrom(values));
  if (name == "verify") return RunVerify(VerifyOptionsFrom(values));
  if (name == "synth") return RunSynth(SynthOptionsFrom(values));
  if (name == "bench-disk") return RunBenchDisk(BenchDiskOptionsFrom(values));
  if (name == "bench-matmul") return RunBenchMatmul(BenchMatmulOptionsFrom(values));
  if (name == "bench-streaming") return RunBenchStreaming(BenchStreamingOptionsFrom(values));
  if (name == "bench-trace") return RunBenchTrace(BenchTraceOptionsFrom(values));
  if (name == "probe") return RunProbeCommand(ProbeOptionsFrom(values));
  for (const std::string& variable : values.environment()) LogInfo("environment " + variable);
  for (const std::string& variable : IdleVariables(*invocation.command, GetVariable)) {
    LogInfo("environment " + variable);
  }
  if (name == "serve") return RunServe(ServeOptionsFrom(values));
  if (name == "generate") return RunGenerate(GenerateOptionsFrom(values));
  return RunEval(EvalOptionsFrom(values));
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
  ExplainFaults(invocation);
  return FinishOutput(Run(invocation));
}
