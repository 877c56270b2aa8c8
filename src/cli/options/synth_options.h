// The options of `mach synth`, part of the option table.
#pragma once

#include "cli/options/option_table.h"

namespace mach::cli {

inline constexpr std::string_view kSynthShapes[] = {"35b-a3b", "30b-a3b"};
inline constexpr std::string_view kSynthFamilies[] = {"qwen3_5_moe", "qwen3_moe"};
inline constexpr std::string_view kSynthBits[] = {"4", "8", "16"};

// A size of the model: at least 1, as given, or the shape's.
constexpr Option SynthSize(std::string_view name, std::string_view group, std::string_view help) {
  return {.name = name,
          .value = "N",
          .type = OptionType::kInteger,
          .group = group,
          .help = help,
          .default_help = "the shape's",
          .minimum = 1,
          .maximum = 1 << 28};
}

inline constexpr Option kSynthOptions[] = {
    {.name = "output",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Output",
     .help = "A directory that does not exist yet, or is empty.",
     .positional = true,
     .required = true},
    {.name = "shard-mb",
     .value = "MB",
     .type = OptionType::kInteger,
     .group = "Output",
     .help = "Most MiB of tensors in a file; a larger tensor has one of its own.",
     .default_value = "4096",
     .minimum = 1,
     .maximum = 1 << 20},
    {.name = "shape",
     .value = "NAME",
     .type = OptionType::kChoice,
     .group = "Model",
     .help = "All sizes of a published model: Qwen3.6-35B-A3B or Qwen3-30B-A3B. Sizes that are "
             "given besides win.",
     .default_help = "a small one",
     .choices = kSynthShapes},
    {.name = "family",
     .value = "NAME",
     .type = OptionType::kChoice,
     .group = "Model",
     .help = "Architecture.",
     .default_help = "the shape's, else qwen3_5_moe",
     .choices = kSynthFamilies},
    {.name = "bits",
     .value = "BITS",
     .type = OptionType::kChoice,
     .group = "Model",
     .help = "4 or 8: MLX affine weights in groups of 64; router, embedding and head have 8 bits. "
             "16: bf16 in the published layout.",
     .default_value = "4",
     .choices = kSynthBits},
    {.name = "seed",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Model",
     .help = "The same seed gives the same weights.",
     .default_value = "0",
     .minimum = 0,
     .maximum = 9007199254740992.0},
    {.name = "tokenizer",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Model",
     .help = "Copy tokenizer.json, tokenizer_config.json and chat_template.jinja from this model.",
     .default_help = "no tokenizer: mach eval --ids runs the model, serve and generate do not"},
    SynthSize("layers", "Sizes", "Layers."),
    SynthSize("hidden", "Sizes", "Width of the residual stream."),
    SynthSize("experts", "Sizes", "Routed experts of a layer."),
    SynthSize("top-k", "Sizes", "Experts of a token."),
    SynthSize("width", "Sizes", "Width of a routed expert."),
    SynthSize("heads", "Sizes", "Query heads."),
    SynthSize("kv-heads", "Sizes", "Heads of keys and values."),
    SynthSize("head-dim", "Sizes", "Dimension of a head."),
    SynthSize("vocab", "Sizes", "Tokens of the vocabulary; at least the tokenizer's."),
    SynthSize("context", "Sizes", "Longest sequence."),
    SynthSize("shared-width", "Sizes of qwen3_5_moe", "Width of the shared expert."),
    SynthSize("linear-key-heads", "Sizes of qwen3_5_moe", "Key heads of the gated delta net."),
    SynthSize("linear-value-heads", "Sizes of qwen3_5_moe", "Its value heads."),
    SynthSize("linear-head-dim", "Sizes of qwen3_5_moe", "Dimension of both."),
    SynthSize("attention-interval", "Sizes of qwen3_5_moe",
              "Every so manieth layer has full attention, the others a gated delta net."),
};

inline constexpr Example kSynthExamples[] = {
    {"mach synth \"$(mktemp -d)\" --tokenizer models/mach-tiny",
     "A small model that can be served."},
    {"mach synth \"$(mktemp -d)\" --shape 35b-a3b --layers 1 --vocab 8192 --tokenizer "
     "models/mach-tiny",
     "One layer of a 35B-A3B, with 4 bits: 0.5 GB. All 40 without --layers."},
    {"mach synth \"$(mktemp -d)\" --family qwen3_moe --bits 16 --layers 2 --experts 64",
     "Two bf16 layers of another family."},
};

}  // namespace mach::cli
