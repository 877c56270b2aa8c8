// The options of the prefix cache, part of the option table.
#pragma once

#include <array>

#include "cli/options/shared_options.h"

namespace mach::cli {

inline constexpr Choice<bool> kDiskEvictions[] = {{"value", false}, {"lru", true}};

inline constexpr auto kPrefixOptions = std::to_array<OptionOf<PrefixOptions>>({
    {{.name = "prefix-cache",
      .type = OptionType::kFlag,
      .group = "Prefix cache",
      .help = "Keep the state after prompts and answers, so that a prompt that begins alike is not "
              "computed again. The default.",
      .excludes = "no-prefix-cache"},
     [](const OptionValue&, PrefixOptions&) {}},
    {{.name = "no-prefix-cache",
      .type = OptionType::kFlag,
      .group = "Prefix cache",
      .help = "Compute every prompt from its first token."},
     [](const OptionValue&, PrefixOptions& options) { options.enabled = false; }},
    {{.name = "prefix-cache-max-entries",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Prefix cache",
      .help = "States in memory at most.",
      .default_value = "256",
      .minimum = 1,
      .maximum = 65536},
     Into<&PrefixOptions::max_entries>},
    {{.name = "prefix-cache-max-gb",
      .value = "GB",
      .type = OptionType::kNumber,
      .group = "Prefix cache",
      .help = "Their memory, a part of --wired-gb, in units of 2^30 bytes.",
      .default_help = "an eighth of what --wired-gb leaves, at most 1",
      .minimum = 0.001,
      .maximum = 1 << 20},
     Into<&PrefixOptions::max_gb>},
    {{.name = "prefix-cache-block-size",
      .value = "TOKENS",
      .type = OptionType::kInteger,
      .group = "Prefix cache",
      .help = "Tokens of one link of the chains that the index finds prefixes by.",
      .default_value = "64",
      .minimum = 1,
      .maximum = 65536},
     Into<&PrefixOptions::block_size>},
    {{.name = "disk-kv-dir",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Prefix cache",
      .help = "Keep states on disk too, so that they outlive the server. Several servers may share "
              "the directory.",
      .default_help = "none"},
     Into<&PrefixOptions::disk_directory>},
    {{.name = "disk-kv-budget-gb",
      .value = "GB",
      .type = OptionType::kNumber,
      .group = "Prefix cache",
      .help = "Disk space of the directory at most, in units of 2^30 bytes.",
      .default_value = "16",
      .minimum = 0.001,
      .maximum = 1 << 20},
     Into<&PrefixOptions::disk_budget_gb>},
    {{.name = "disk-kv-eviction",
      .value = "POLICY",
      .type = OptionType::kChoice,
      .group = "Prefix cache",
      .help = "Which state leaves a full directory: the one of least value (hits and tokens by "
              "bytes), or the one not used for longest.",
      .default_value = "value",
      .env = "LME_DISK_KV_EVICTION_POLICY",
      .choices = kNamesOf<kDiskEvictions>},
     OneOf<kDiskEvictions, &PrefixOptions::disk_lru>},
});

}  // namespace mach::cli
