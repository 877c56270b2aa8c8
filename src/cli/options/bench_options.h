// The options of `mach bench disk|matmul|streaming|trace`, part of the option table.
#pragma once

#include "cli/options/shared_options.h"

namespace mach::cli {

constexpr Option BenchNumber(std::string_view name, std::string_view value, std::string_view help,
                             std::string_view default_value, double maximum) {
  return {.name = name,
          .value = value,
          .type = OptionType::kInteger,
          .group = "Measurement",
          .help = help,
          .default_value = default_value,
          .minimum = 1,
          .maximum = maximum};
}

inline constexpr auto kBenchDisk = std::to_array<OptionOf<BenchDiskOptions>>({
    {{.name = "dir",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Measurement",
      .help = "On the disk to be measured; a file is written there and removed.",
      .default_value = "."},
     Into<&BenchDiskOptions::directory>},
    {BenchNumber("file-mb", "MIB", "Size of that file.", "2048", 1 << 20),
     Into<&BenchDiskOptions::file_mb>},
    {BenchNumber("memory-mb", "MIB", "Memory that is read into.", "1024", 1 << 20),
     Into<&BenchDiskOptions::memory_mb>},
    {{.name = "record-kb",
      .value = "KIB",
      .type = OptionType::kInteger,
      .group = "Measurement",
      .help = "Size of a read, as of one expert.",
      .default_help = "256, 1728 and 8192 in turn",
      .minimum = 4,
      .maximum = 1 << 18},
     Into<&BenchDiskOptions::record_kb>},
    {BenchNumber("case-ms", "MS", "Time of one case in one round.", "1000", 1e6),
     Into<&BenchDiskOptions::case_ms>},
    {BenchNumber("rounds", "N", "Rounds through all cases; medians are printed.", "3", 1000),
     Into<&BenchDiskOptions::rounds>},
});

inline constexpr Example kBenchDiskExamples[] = {
    {"mach bench disk --dir . --record-kb 1728 --file-mb 256 --memory-mb 64 --case-ms 200 --rounds "
     "1",
     "What a disk gives an expert bank at best, in a few seconds. Leave out all but --dir for "
     "numbers to keep."}};

inline constexpr auto kBenchStreaming = std::to_array<OptionOf<BenchStreamingOptions>>({
    {kCheckpoint, Into<&BenchStreamingOptions::checkpoint>},
    {kSidecarDir, Into<&BenchStreamingOptions::sidecar_dir>},
    {kThreads, Into<&BenchStreamingOptions::threads>},
    {kDirectPread, Into<&BenchStreamingOptions::direct_pread>},
    {{.name = "bank",
      .value = "SHARE",
      .type = OptionType::kNumber,
      .group = "Measurement",
      .help = "Share of the experts that the cold bank holds.",
      .default_value = "0.25",
      .minimum = 0.01,
      .maximum = 1},
     Into<&BenchStreamingOptions::bank>},
    {BenchNumber("tokens", "N", "Tokens decoded in one round.", "16", 1 << 16),
     Into<&BenchStreamingOptions::tokens>},
    {BenchNumber("prompt-tokens", "N", "Tokens of the prompt, one chunk.", "512", 1 << 16),
     Into<&BenchStreamingOptions::prompt_tokens>},
    {BenchNumber("rounds", "N", "Rounds; medians are printed.", "5", 1000),
     Into<&BenchStreamingOptions::rounds>},
    {{.name = "decode-only",
      .type = OptionType::kFlag,
      .group = "Measurement",
      .help = "Leave out what needs all experts in memory: prompts, and the full bank."},
     Into<&BenchStreamingOptions::decode_only>},
});

inline constexpr Example kBenchStreamingExamples[] = {
    {"mach export-sidecar models/mach-tiny && mach bench streaming models/mach-tiny --rounds 1",
     "How close reading experts comes to the disk and to experts in memory; of a model that is "
     "larger than caches, numbers to keep."}};

inline constexpr auto kBenchTrace = std::to_array<OptionOf<BenchTraceOptions>>({
    {{.name = "trace",
      .value = "FILE",
      .type = OptionType::kPath,
      .group = "Measurement",
      .help = "Recorded expert choices; written first when --record is given.",
      .positional = true,
      .required = true},
     Into<&BenchTraceOptions::trace>},
    {BenchNumber("record-kb", "KIB", "Size of an expert, for the bytes of a token.", "1728",
                 1 << 20),
     Into<&BenchTraceOptions::record_kb>},
    {{.name = "record",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Recording",
      .help = "A model that reads --text token by token; its choices go to the trace."},
     Into<&BenchTraceOptions::record>},
    {{.name = "text",
      .value = "FILE",
      .type = OptionType::kPath,
      .group = "Recording",
      .help = "The text, for --record."},
     Into<&BenchTraceOptions::text>},
    {{.name = "tokens",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Recording",
      .help = "Most tokens of it.",
      .default_value = "2000",
      .minimum = 1,
      .maximum = 1 << 24},
     Into<&BenchTraceOptions::tokens>},
});

inline constexpr Example kBenchTraceExamples[] = {
    {"mach bench trace bench/traces/mach-tiny.trace",
     "Hit rates of every eviction policy by bank size, next to the optimum."},
    {"mach bench trace /tmp/t.trace --record models/mach-tiny --text README.md --tokens 200",
     "Records a trace, then replays it."}};

inline constexpr auto kBenchMatmul = std::to_array<OptionOf<BenchMatmulOptions>>({
    {kThreads, Into<&BenchMatmulOptions::threads>},
    {kIsa, Into<&BenchMatmulOptions::isa>},
    {BenchNumber("memory-mb", "MIB", "Working set of weights, above the caches.", "1024", 1 << 20),
     Into<&BenchMatmulOptions::memory_mb>},
    {BenchNumber("rounds", "N", "Rounds through all cases; medians are printed.", "7", 1000),
     Into<&BenchMatmulOptions::rounds>},
    {BenchNumber("group", "N", "Weights of a group: 32, 64 or 128.", "64", 128),
     Into<&BenchMatmulOptions::group>},
    {{.name = "quick",
      .type = OptionType::kFlag,
      .group = "Measurement",
      .help = "Only the largest matrix."},
     Into<&BenchMatmulOptions::quick>},
});

inline constexpr Example kBenchMatmulExamples[] = {
    {"mach bench matmul --quick --rounds 1 --memory-mb 256",
     "How close matrix products come to memory and arithmetic; with the defaults, numbers to "
     "keep."}};

}  // namespace mach::cli
