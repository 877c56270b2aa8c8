#include "cli/options/option_table.h"

#include "cli/options/bench_options.h"
#include "cli/options/generate_options.h"
#include "cli/options/serve_options.h"
#include "cli/options/storage_options.h"
#include "cli/options/synth_options.h"

namespace mach::cli {
namespace {

constexpr Command kCommands[] = {
    WithOptions<kServe>(
        {"serve", "Serve a model over an OpenAI-compatible API",
         "Loads a model and answers OpenAI's API over HTTP. Needs one of --streaming and "
         "--no-streaming;\nwithout them it says which one 'mach check' recommends, as a command to "
         "copy.",
         kServeExamples,
         "0 ended by SIGTERM or SIGINT with every answer finished, 143 before that, 1 failure, 2 "
         "wrong "
         "usage."}),
    WithOptions<kGenerate>({"generate", "Generate text on the command line",
                            "Answers one prompt or conversation on standard output.",
                            kGenerateExamples}),
    WithOptions<kEval>({"eval", "Score a text, and write out what the model computes",
                        "Runs a model over a text and reports how probable it finds it.",
                        kEvalExamples}),
    WithOptions<kArchs>({"archs", "List the model architectures that are supported",
                         "Lists the model architectures that are supported.", kArchsExamples}),
    WithOptions<kCheck>(
        {"check", "Tell whether a model fits into this machine",
         "Reads headers only, and says how each way of keeping the experts would fit into memory:\n"
         "all of them (stacked), or a bank of them with the rest on disk (streaming). Exits with "
         "0\n"
         "when one fits, 1 when it is tight, 2 when none fits, 3 when nothing can be told.",
         kCheckExamples,
         "0 a way of keeping the experts fits, 1 it is tight, 2 none fits or wrong usage, 3 "
         "nothing "
         "can be told."}),
    WithOptions<kModels>(
        {"models", "List the models that are installed",
         "Lists the models in a directory, with their sizes and whether they can be served.",
         kModelsExamples}),
    WithOptions<kExportSidecar>(
        {"export-sidecar", "Write a model's experts for streaming",
         "Writes the expert sidecar of a model: one record for each expert, as the kernels read "
         "it,\n"
         "so that experts can stream from disk. Interrupted, the same command goes on with it.",
         kExportSidecarExamples,
         "0 success, 1 failure, 2 wrong usage, 143 interrupted: the same command goes on."}),
    WithOptions<kSelftest>(
        {"selftest", "Try the fast paths of this build on this machine",
         "Holds the vector kernels against the scalar code, tries direct reads, and says\n"
         "native_extension=ready, or what is missing. Exits with 0 when both work, else 1.",
         kSelftestExamples}),
    WithOptions<kVerify>({"verify", "Check a model's files and its expert sidecar",
                          "Checks the headers of a model and that its sidecar belongs to it; with "
                          "--all every byte of\n"
                          "the sidecar, and that every weight and scale of the model is finite. "
                          "Exits with 0 when all "
                          "is\n"
                          "well, else 1.",
                          kVerifyExamples,
                          "0 all is well, 1 it is not, 2 wrong usage, 143 interrupted."}),
    WithOptions<kSynthOptions>({"synth", "Write a model of random weights, for benchmarks",
                                "Writes a checkpoint of any size with seeded random weights in a "
                                "published layout. What it\n"
                                "says is noise, but it takes the memory, the reads and the "
                                "arithmetic of a real one. It has\n"
                                "no end-of-turn token: answers go on to --max-tokens.",
                                kSynthExamples}),
    WithOptions<kBenchDisk>({"bench-disk", "Measure direct reads of a disk",
                             "Measures the bandwidth of direct reads by record size, depth, order "
                             "and mode: what a disk\n"
                             "gives an expert bank at best. Also reachable as 'mach bench disk'.",
                             kBenchDiskExamples}),
    WithOptions<kBenchMatmul>({"bench-matmul",
                               "Measure matrix products against the machine's limits",
                               "Holds products of quantized matrices against the bandwidth of "
                               "memory and the integer dot\n"
                               "products of this machine. Also reachable as 'mach bench matmul'.",
                               kBenchMatmulExamples}),
    WithOptions<kBenchStreaming>(
        {"bench-streaming", "Measure a model whose experts stream from disk",
         "Holds decoding with a cold bank against the disk, a prompt against its reads and its\n"
         "arithmetic, and a bank that holds everything against all experts in memory, each in the\n"
         "same rounds. Needs memory for the model twice without --decode-only. Also reachable as\n"
         "'mach bench streaming'.",
         kBenchStreamingExamples}),
    WithOptions<kBenchTrace>({"bench-trace", "Replay recorded expert choices",
                              "Replays expert choices that a model made of a text (--record) "
                              "against every eviction policy\n"
                              "and bank size, next to the optimum of a policy with foresight "
                              "(Belady). Also reachable as\n"
                              "'mach bench trace'.",
                              kBenchTraceExamples}),
    WithOptions<kProbe>(
        {"probe", "Judge a running server by its statistics",
         "Drives a running server with a few requests, says of each check whether it is ok, warn, "
         "FAIL\n"
         "or n/a, what mends what is wrong, which bank the experts would want, and last the "
         "verdict:\n"
         "the worst of the checks. Exits with 0 when nothing fails (warnings included), 1 when a "
         "check\n"
         "fails or the server cannot be reached or judged, 2 for wrong usage.",
         kProbeExamples}),
};

}  // namespace

std::span<const Command> Commands() { return kCommands; }

const Command* FindCommand(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

}  // namespace mach::cli
