// The options of commands about what is installed, part of the option table.
#pragma once

#include <array>

#include "cli/options/shared_options.h"

namespace mach::cli {

inline constexpr Option kArchs[] = {
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
};

inline constexpr Example kArchsExamples[] = {{"mach archs", "Lists what can be served."},
                                             {"mach archs --json", "The same as JSON."}};

inline constexpr Option kCheck[] = {
    kCheckpoint,
    kCtxSize,
    kWiredGb,
    kSidecarDir,
    kAllowFallback,
    kDraftDir,
    kTargetOnly,
    kDraftBitsOption,
    kThreads,
    kCompute,
    kChunk,
    kRequestMemory,
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
};

inline constexpr Example kCheckExamples[] = {
    {"mach check models/mach-tiny", "Says whether the model fits into this machine's memory."},
    {"mach check models/mach-tiny --wired-gb 1 --json", "The same for a given ceiling, as JSON."},
    {"mach check models/mach-tiny --wired-gb 0.01", "What does not fit, and what would do.",
     Runs::kToItsEnd, 2},
};

inline constexpr Option kModels[] = {
    {.name = "dir",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Model",
     .help = "Where models are, each in a directory of its own.",
     .default_value = "models"},
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
};

inline constexpr Example kModelsExamples[] = {
    {"mach models", "Lists what is in 'models'."},
    {"mach models --dir models --json", "The same as JSON."}};

inline constexpr std::string_view kBitsChoices[] = {"keep", "4", "8", "16"};

inline constexpr Option kExportSidecar[] = {
    kCheckpoint,
    {.name = "output",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Output",
     .help = "Where the sidecar goes; an older one there is replaced.",
     .default_help = "expert_sidecar in the model's directory"},
    {.name = "bits",
     .value = "BITS",
     .type = OptionType::kChoice,
     .group = "Output",
     .help = "Bits of a weight: keep those of the checkpoint, or quantize 16-bit ones to 4 or 8.",
     .default_value = "keep",
     .choices = kBitsChoices},
    {.name = "num-experts",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Output",
     .help = "Experts of a layer that the checkpoint must have, as a check.",
     .minimum = 1,
     .maximum = 65536},
    {.name = "jobs",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Compute",
     .help = "Experts that are packed at a time; memory grows with it.",
     .default_value = "0",
     .default_help = "the processors there are",
     .minimum = 0,
     .maximum = 1024},
};

inline constexpr Example kExportSidecarExamples[] = {
    {"mach export-sidecar models/mach-tiny", "Writes models/mach-tiny/expert_sidecar."},
    {"mach export-sidecar models/mach-tiny --output /tmp/mach-tiny-experts && mach verify "
     "models/mach-tiny --sidecar-dir /tmp/mach-tiny-experts",
     "The same onto another disk."},
    {"model=$(mktemp -d) && mach synth \"$model\" --bits 16 --layers 2 --experts 16 && mach "
     "export-sidecar \"$model\" --bits 4",
     "Quantizes a 16-bit model's experts."},
};

inline constexpr Option kVerify[] = {
    kCheckpoint,
    kSidecarDir,
    {.name = "all",
     .type = OptionType::kFlag,
     .group = "Check",
     .help = "Read every expert and compare its checksum, too."},
};

inline constexpr Example kVerifyExamples[] = {
    {"mach export-sidecar models/mach-tiny && mach verify models/mach-tiny",
     "Checks headers, and that the sidecar belongs to the model."},
    {"mach export-sidecar models/mach-tiny && mach verify models/mach-tiny --all",
     "Reads the whole sidecar, too."},
};

inline constexpr Option kSelftest[] = {
    kIsa,
    {.name = "file",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Check",
     .help = "A file on the disk whose direct reads are tried.",
     .default_value = "/proc/self/exe",
     .default_help = "the program itself"},
};

inline constexpr Example kSelftestExamples[] = {
    {"mach selftest", "Tries the vector kernels and the direct reads of this machine."},
    {"mach selftest --file models/mach-tiny/tokenizer.json", "The same for the disk of a file."},
};

}  // namespace mach::cli
