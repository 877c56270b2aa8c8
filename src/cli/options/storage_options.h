// The options of commands about what is installed, part of the option table.
#pragma once

#include <array>

#include "cli/options/shared_options.h"

namespace mach::cli {

inline constexpr auto kArchs = std::to_array<OptionOf<ArchsOptions>>({
    {{.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
     Into<&ArchsOptions::json>},
});

inline constexpr Example kArchsExamples[] = {{"mach archs", "Lists what can be served."},
                                             {"mach archs --json", "The same as JSON."}};

// What decides whether a model fits.
inline constexpr auto kCheckModel =
    std::to_array<OptionOf<ModelOptions>>({{kCheckpoint, Into<&ModelOptions::checkpoint>},
                                           kCtxSize,
                                           kWiredGb,
                                           {kSidecarDir, Into<&ModelOptions::sidecar_dir>},
                                           kAllowFallback});
inline constexpr std::array kCheckDraft = {kDraftDir, kTargetOnly, kDraftBitsOption};
inline constexpr auto kCheckCompute = std::to_array<OptionOf<ModelOptions>>(
    {{kThreads, Into<&ModelOptions::threads>}, kCompute, kChunk, kRequestMemory});
inline constexpr auto kCheckOwn = std::to_array<OptionOf<CheckCommandOptions>>({
    {{.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
     Into<&CheckCommandOptions::json>},
});
inline constexpr auto kCheck = Join(In<&CheckCommandOptions::model, kCheckModel>(),
                                    In<&CheckCommandOptions::draft, kCheckDraft>(),
                                    In<&CheckCommandOptions::model, kCheckCompute>(), kCheckOwn);

inline constexpr Example kCheckExamples[] = {
    {"mach check models/mach-tiny", "Says whether the model fits into this machine's memory."},
    {"mach check models/mach-tiny --wired-gb 1 --json", "The same for a given ceiling, as JSON."},
    {"mach check models/mach-tiny --wired-gb 0.01", "What does not fit, and what would do.",
     Runs::kToItsEnd, 2},
};

inline constexpr auto kModels = std::to_array<OptionOf<ModelsOptions>>({
    {{.name = "dir",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Model",
      .help = "Where models are, each in a directory of its own.",
      .default_value = "models"},
     Into<&ModelsOptions::directory>},
    {{.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
     Into<&ModelsOptions::json>},
});

inline constexpr Example kModelsExamples[] = {
    {"mach models", "Lists what is in 'models'."},
    {"mach models --dir models --json", "The same as JSON."}};

inline constexpr std::string_view kBitsChoices[] = {"keep", "4", "8", "16"};

inline constexpr auto kExportSidecar = std::to_array<OptionOf<ExportSidecarOptions>>({
    {kCheckpoint, Into<&ExportSidecarOptions::checkpoint>},
    {{.name = "output",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Output",
      .help = "Where the sidecar goes; an older one there is replaced.",
      .default_help = "expert_sidecar in the model's directory"},
     Into<&ExportSidecarOptions::output>},
    {{.name = "bits",
      .value = "BITS",
      .type = OptionType::kChoice,
      .group = "Output",
      .help = "Bits of a weight: keep those of the checkpoint, or quantize 16-bit ones to 4 or 8.",
      .default_value = "keep",
      .choices = kBitsChoices},
     Into<&ExportSidecarOptions::bits>},
    {{.name = "num-experts",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Output",
      .help = "Experts of a layer that the checkpoint must have, as a check.",
      .minimum = 1,
      .maximum = 65536},
     Into<&ExportSidecarOptions::num_experts>},
    {{.name = "jobs",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Compute",
      .help = "Experts that are packed at a time; memory grows with it.",
      .default_value = "0",
      .default_help = "the processors there are",
      .minimum = 0,
      .maximum = 1024},
     Into<&ExportSidecarOptions::jobs>},
});

inline constexpr Example kExportSidecarExamples[] = {
    {"mach export-sidecar models/mach-tiny", "Writes models/mach-tiny/expert_sidecar."},
    {"mach export-sidecar models/mach-tiny --output /tmp/mach-tiny-experts && mach verify "
     "models/mach-tiny --sidecar-dir /tmp/mach-tiny-experts",
     "The same onto another disk."},
    {"model=$(mktemp -d) && mach synth \"$model\" --bits 16 --layers 2 --experts 16 && mach "
     "export-sidecar \"$model\" --bits 4",
     "Quantizes a 16-bit model's experts."},
};

inline constexpr auto kVerify = std::to_array<OptionOf<VerifyOptions>>({
    {kCheckpoint, Into<&VerifyOptions::checkpoint>},
    {kSidecarDir, Into<&VerifyOptions::sidecar_dir>},
    {{.name = "all",
      .type = OptionType::kFlag,
      .group = "Check",
      .help = "Read every expert and compare its checksum, too."},
     Into<&VerifyOptions::all>},
});

inline constexpr Example kVerifyExamples[] = {
    {"mach export-sidecar models/mach-tiny && mach verify models/mach-tiny",
     "Checks headers, and that the sidecar belongs to the model."},
    {"mach export-sidecar models/mach-tiny && mach verify models/mach-tiny --all",
     "Reads the whole sidecar, too."},
};

inline constexpr auto kSelftest = std::to_array<OptionOf<SelftestOptions>>({
    {kIsa, Into<&SelftestOptions::isa>},
    {{.name = "file",
      .value = "FILE",
      .type = OptionType::kPath,
      .group = "Check",
      .help = "A file on the disk whose direct reads are tried.",
      .default_value = "/proc/self/exe",
      .default_help = "the program itself"},
     Into<&SelftestOptions::file>},
});

inline constexpr Example kSelftestExamples[] = {
    {"mach selftest", "Tries the vector kernels and the direct reads of this machine."},
    {"mach selftest --file models/mach-tiny/tokenizer.json", "The same for the disk of a file."},
};

}  // namespace mach::cli
