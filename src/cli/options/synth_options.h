// The options of `mach synth`, part of the option table.
#pragma once

#include "cli/options/option_rows.h"
#include "model/synth/shape.h"

namespace mach::cli {

inline constexpr std::string_view kSynthShapes[] = {"35b-a3b", "30b-a3b"};
inline constexpr std::string_view kSynthFamilies[] = {"qwen3_5_moe", "qwen3_moe"};
inline constexpr Choice<int> kSynthBits[] = {{"4", 4}, {"8", 8}, {"16", 16}};

template <auto size, bool delta_net>
void ReadSize(const OptionValue& value, SynthCommandOptions& options) {
  SynthSize& given = options.sizes.emplace_back(value.name, size, delta_net);
  Assign(value, given.value);
}

// A size of the model: at least 1, as given, or the shape's.
template <auto size, bool delta_net = false>
constexpr OptionOf<SynthCommandOptions> Size(std::string_view name, std::string_view help) {
  return {{.name = name,
           .value = "N",
           .type = OptionType::kInteger,
           .group = delta_net ? "Sizes of qwen3_5_moe" : "Sizes",
           .help = help,
           .default_help = "the shape's",
           .minimum = 1,
           .maximum = 1 << 28},
          ReadSize<size, delta_net>};
}

// Of qwen3_5_moe only.
template <auto size>
constexpr OptionOf<SynthCommandOptions> DeltaNetSize(std::string_view name, std::string_view help) {
  return Size<size, true>(name, help);
}

inline constexpr auto kSynthOptions = std::to_array<OptionOf<SynthCommandOptions>>({
    {{.name = "output",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Output",
      .help = "A directory that does not exist yet, or is empty.",
      .positional = true,
      .required = true},
     Into<&SynthCommandOptions::output>},
    {{.name = "shard-mb",
      .value = "MB",
      .type = OptionType::kInteger,
      .group = "Output",
      .help = "Most MiB of tensors in a file; a larger tensor has one of its own.",
      .default_value = "4096",
      .minimum = 1,
      .maximum = 1 << 20},
     Into<&SynthCommandOptions::shard_mb>},
    {{.name = "shape",
      .value = "NAME",
      .type = OptionType::kChoice,
      .group = "Model",
      .help = "All sizes of a published model: Qwen3.6-35B-A3B or Qwen3-30B-A3B. Sizes that are "
              "given besides win.",
      .default_help = "a small one",
      .choices = kSynthShapes},
     Into<&SynthCommandOptions::shape>},
    {{.name = "family",
      .value = "NAME",
      .type = OptionType::kChoice,
      .group = "Model",
      .help = "Architecture.",
      .default_help = "the shape's, else qwen3_5_moe",
      .choices = kSynthFamilies},
     Into<&SynthCommandOptions::family>},
    {{.name = "bits",
      .value = "BITS",
      .type = OptionType::kChoice,
      .group = "Model",
      .help = "4 or 8: MLX affine weights in groups of 64; router, embedding and head have 8 bits. "
              "16: bf16 in the published layout.",
      .default_value = "4",
      .choices = kNamesOf<kSynthBits>},
     OneOf<kSynthBits, &SynthCommandOptions::bits>},
    {{.name = "seed",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Model",
      .help = "The same seed gives the same weights.",
      .default_value = "0",
      .minimum = 0,
      .maximum = 9007199254740992.0},
     Into<&SynthCommandOptions::seed>},
    {{.name = "tokenizer",
      .value = "DIRECTORY",
      .type = OptionType::kPath,
      .group = "Model",
      .help = "Copy tokenizer.json, tokenizer_config.json and chat_template.jinja from this model.",
      .default_help = "no tokenizer: mach eval --ids runs the model, serve and generate do not"},
     Into<&SynthCommandOptions::tokenizer>},
    Size<&model::SynthShape::layers>("layers", "Layers."),
    Size<&model::SynthShape::hidden>("hidden", "Width of the residual stream."),
    Size<&model::SynthShape::experts>("experts", "Routed experts of a layer."),
    Size<&model::SynthShape::top_k>("top-k", "Experts of a token."),
    Size<&model::SynthShape::width>("width", "Width of a routed expert."),
    Size<&model::SynthShape::heads>("heads", "Query heads."),
    Size<&model::SynthShape::kv_heads>("kv-heads", "Heads of keys and values."),
    Size<&model::SynthShape::head_dim>("head-dim", "Dimension of a head."),
    Size<&model::SynthShape::vocab>("vocab", "Tokens of the vocabulary; at least the tokenizer's."),
    Size<&model::SynthShape::context>("context", "Longest sequence."),
    DeltaNetSize<&model::SynthShape::shared_width>("shared-width", "Width of the shared expert."),
    DeltaNetSize<&model::SynthShape::linear_key_heads>("linear-key-heads",
                                                       "Key heads of the gated delta net."),
    DeltaNetSize<&model::SynthShape::linear_value_heads>("linear-value-heads", "Its value heads."),
    DeltaNetSize<&model::SynthShape::linear_head_dim>("linear-head-dim", "Dimension of both."),
    DeltaNetSize<&model::SynthShape::attention_interval>(
        "attention-interval",
        "Every so manieth layer has full attention, the others a gated delta net."),
});

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
