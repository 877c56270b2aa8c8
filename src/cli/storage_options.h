// The options of commands about what is installed, part of the option table.
#pragma once

#include <array>

#include "cli/shared_options.h"

namespace mach::cli {

inline constexpr Option kArchs[] = {
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
};

inline constexpr Example kArchsExamples[] = {{"mach archs", "Lists what can be served."}};

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
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
};

inline constexpr Example kCheckExamples[] = {
    {"mach check models/mach-tiny", "Says whether the model fits into this machine's memory."},
    {"mach check ~/models/big --wired-gb 12 --json", "The same for a given ceiling, as JSON."},
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
    {"mach models --dir ~/models", "Lists what is there."}};

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
    {"mach export-sidecar ~/models/big --bits 4 --output /ssd/big-experts",
     "Quantizes a 16-bit model's experts, onto another disk."},
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
    {"mach verify models/mach-tiny --all", "Reads the whole sidecar."},
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
    {"mach selftest --file ~/models/big/expert_sidecar/index.bin", "The same for that disk."},
};

}  // namespace mach::cli
