// Options that several commands have.
#pragma once

#include <array>

#include "cli/options/option_rows.h"

namespace mach::cli {

inline constexpr double kMaxTokens = 1 << 30;

inline constexpr Choice<bool> kComputeTypes[] = {{"int8", false}, {"f32", true}};

inline constexpr std::string_view kIsaChoices[] = {"auto",   "scalar",      "avx2",
                                                   "avx512", "avx512_vnni", "neon"};

inline constexpr std::string_view kEvictionChoices[] = {"lookahead", "lru", "lfu"};

inline constexpr Choice<bool> kResidencyPolicies[] = {{"lru-only", false}, {"pin-hot", true}};

inline constexpr Choice<bool> kSwitch[] = {{"0", false}, {"1", true}};

inline constexpr std::string_view kDirectChoices[] = {"auto", "io_uring", "pread", "off"};

inline constexpr std::string_view kDraftBits[] = {"auto", "stored", "4", "8"};

inline constexpr Choice<LogLevel> kLogLevels[] = {{"debug", LogLevel::kDebug},
                                                  {"info", LogLevel::kInfo},
                                                  {"warning", LogLevel::kWarning},
                                                  {"error", LogLevel::kError},
                                                  {"off", LogLevel::kOff}};

inline constexpr Option kCheckpoint{
    .name = "checkpoint",
    .value = "DIRECTORY",
    .type = OptionType::kPath,
    .group = "Model",
    .help =
        "Directory of the model: config.json, tokenizer.json and safetensors files in BF16, "
        "F16, F32 or MLX affine 4 and 8 bit.",
    .env = "MANIAC_LOCAL_MOE_CHECKPOINT_PATH",
    .positional = true,
    .required = true};

inline constexpr OptionOf<ModelOptions> kCtxSize{
    {.name = "ctx-size",
     .value = "TOKENS",
     .type = OptionType::kInteger,
     .group = "Model",
     .help = "Longest sequence, prompt and answer together.",
     .default_value = "0",
     .default_help = "the model's own, or what --wired-gb allows of it",
     .minimum = 0,
     .maximum = kMaxTokens},
    Into<&ModelOptions::ctx_size>};

inline constexpr Option kThreads{.name = "threads",
                                 .value = "N",
                                 .type = OptionType::kInteger,
                                 .group = "Compute",
                                 .help = "Threads that compute. The result does not depend on it.",
                                 .default_value = "0",
                                 .default_help = "the processors there are",
                                 .minimum = 0,
                                 .maximum = 1024};

inline constexpr Option kIsa{.name = "isa",
                             .value = "NAME",
                             .type = OptionType::kChoice,
                             .group = "Compute",
                             .help = "Instruction set of the kernels.",
                             .default_value = "auto",
                             .default_help = "the best this machine has",
                             .choices = kIsaChoices};

inline constexpr OptionOf<ModelOptions> kCompute{
    {.name = "compute",
     .value = "TYPE",
     .type = OptionType::kChoice,
     .group = "Compute",
     .help = "Activations of quantized layers: int8 (fast) or f32 (the reference).",
     .default_value = "int8",
     .choices = kNamesOf<kComputeTypes>},
    OneOf<kComputeTypes, &ModelOptions::compute_f32>};

inline constexpr OptionOf<ModelOptions> kChunk{
    {.name = "chunk",
     .value = "TOKENS",
     .type = OptionType::kInteger,
     .group = "Compute",
     .help = "Tokens of one forward pass over the prompt.",
     .default_value = "256",
     .minimum = 1,
     .maximum = 65536},
    Into<&ModelOptions::chunk>};

inline constexpr OptionOf<ModelOptions> kWiredGb{
    {.name = "wired-gb",
     .value = "GB",
     .type = OptionType::kNumber,
     .group = "Memory",
     .help = "Ceiling on all memory that is kept, in units of 2^30 bytes.",
     .default_help = "9, or what is free less a reserve",
     .minimum = 0.001,
     .maximum = 1 << 20},
    Into<&ModelOptions::wired_gb>};

inline constexpr Option kSidecarDir{.name = "sidecar-dir",
                                    .value = "DIRECTORY",
                                    .type = OptionType::kPath,
                                    .group = "Experts",
                                    .help = "Where the expert sidecar is.",
                                    .default_help = "expert_sidecar in the model's directory"};

inline constexpr OptionOf<ModelOptions> kStreaming{
    {.name = "streaming",
     .type = OptionType::kFlag,
     .group = "Experts",
     .help = "Keep a bounded bank of experts in memory and read the others "
             "from the sidecar as they are needed.",
     .excludes = "no-streaming"},
    Into<&ModelOptions::streaming>};

inline constexpr OptionOf<ModelOptions> kNoStreaming{{.name = "no-streaming",
                                                      .type = OptionType::kFlag,
                                                      .group = "Experts",
                                                      .help = "Keep all experts in memory.",
                                                      .excludes = "streaming"},
                                                     Into<&ModelOptions::no_streaming>};

inline constexpr OptionOf<ModelOptions> kBf16Streaming{
    {.name = "bf16-streaming",
     .type = OptionType::kFlag,
     .group = "Experts",
     .help =
         "With --streaming: read bf16, f16 or f32 experts from the model's own files instead of "
         "a sidecar, for comparisons at full precision. They have no checksums.",
     .env = "LME_BF16_STACKED_STREAMING",
     .excludes = "no-streaming"},
    Into<&ModelOptions::bf16_streaming>};

inline constexpr OptionOf<ModelOptions> kExpertCacheGb{
    {.name = "expert-cache-gb",
     .value = "GB",
     .type = OptionType::kNumber,
     .group = "Experts",
     .help = "Size of the bank, in units of 2^30 bytes.",
     .default_help = "what --wired-gb leaves",
     .minimum = 0,
     .maximum = 1 << 20},
    Into<&ModelOptions::expert_cache_gb>};

inline constexpr OptionOf<ModelOptions> kEviction{
    {.name = "eviction",
     .value = "POLICY",
     .type = OptionType::kChoice,
     .group = "Experts",
     .help = "Which expert leaves a full bank. No policy changes a token.",
     .default_value = "lookahead",
     .env = "LME_BANK_EVICTION_POLICY",
     .choices = kEvictionChoices},
    Into<&ModelOptions::eviction>};

inline constexpr OptionOf<ModelOptions> kDecodeResidency{
    {.name = "decode-residency",
     .value = "POLICY",
     .type = OptionType::kChoice,
     .group = "Experts",
     .help = "pin-hot keeps the hottest experts of each layer in up to half of the bank.",
     .default_value = "lru-only",
     .env = "LME_DECODE_RESIDENCY",
     .choices = kNamesOf<kResidencyPolicies>},
    OneOf<kResidencyPolicies, &ModelOptions::pin_hot>};

inline constexpr OptionOf<ModelOptions> kTransientPrefill{
    {.name = "transient-prefill",
     .value = "0|1",
     .type = OptionType::kChoice,
     .group = "Experts",
     .help = "Let prompts stream through memory of their own instead of displacing the bank.",
     .default_value = "1",
     .env = "LME_TRANSIENT_PREFILL",
     .choices = kNamesOf<kSwitch>},
    OneOf<kSwitch, &ModelOptions::transient_prefill>};

inline constexpr Option kDirectPread{.name = "direct-pread",
                                     .value = "MODE",
                                     .type = OptionType::kChoice,
                                     .group = "Experts",
                                     .help = "How experts are read past the page cache.",
                                     .default_value = "auto",
                                     .env = "LME_DIRECT_PREAD",
                                     .choices = kDirectChoices};

inline constexpr std::string_view kDocumentedFallback = "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK";

// The policy is named after the variable that asks for it.
inline void ReadFallback(const OptionValue& value, ModelOptions& options) {
  options.allow_fallback = true;
  options.fallback_policy =
      value.variable == kDocumentedFallback ? "diagnostic-python" : "diagnostic";
}

inline constexpr OptionOf<ModelOptions> kAllowFallback{
    {.name = "allow-diagnostic-fallback",
     .type = OptionType::kFlag,
     .group = "Experts",
     .help =
         "Start on a slow path where the fast one does not work: buffered reads, or experts of the "
         "model's own files for want of a valid sidecar. 0 or 1 in the environment.",
     .env = "LME_ALLOW_DIAGNOSTIC_FALLBACK",
     .env_alias = kDocumentedFallback},
    ReadFallback};

inline constexpr OptionOf<DraftOptions> kDraftDir{
    {.name = "draft-dir",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Speculation",
     .help = "Drafter (DFlash) that proposes tokens. It changes the speed, never the answer.",
     .default_help = "CHECKPOINT-dflash or CHECKPOINT/dflash, where there is one",
     .excludes = "target-only"},
    Into<&DraftOptions::directory>};

inline constexpr OptionOf<DraftOptions> kTargetOnly{
    {.name = "target-only",
     .type = OptionType::kFlag,
     .group = "Speculation",
     .help = "Load no drafter: one token after the other."},
    Into<&DraftOptions::target_only>};

inline constexpr OptionOf<DraftOptions> kBlockPolicy{
    {.name = "serving-adaptive-block-policy",
     .value = "NAME",
     .type = OptionType::kText,
     .group = "Speculation",
     .help = "How many tokens are proposed at a time: opencode-sampled-v1 (as many as pay), or "
             "fixed-N with N from 1 to 16.",
     .default_value = "opencode-sampled-v1"},
    Into<&DraftOptions::block_policy>};

inline constexpr OptionOf<DraftOptions> kDraftBitsOption{
    {.name = "draft-bits",
     .value = "BITS",
     .type = OptionType::kChoice,
     .group = "Speculation",
     .help =
         "Weights of the drafter: 4 or 8 bits each, made while loading, or stored: as they are.",
     .default_value = "auto",
     .default_help = "8 with --compute int8, else stored",
     .choices = kDraftBits},
    Into<&DraftOptions::bits>};

inline constexpr OptionOf<LogOptions> kLogLevel{
    {.name = "log-level",
     .value = "LEVEL",
     .type = OptionType::kChoice,
     .group = "Logging",
     .help = "Least level of the lines on standard error.",
     .default_value = "info",
     .choices = kNamesOf<kLogLevels>},
    OneOf<kLogLevels, &LogOptions::level>};

inline constexpr OptionOf<LogOptions> kLogJson{{.name = "log-json",
                                                .type = OptionType::kFlag,
                                                .group = "Logging",
                                                .help = "One JSON object a line."},
                                               Into<&LogOptions::json>};

// Of a server, and of what tells whether it would fit.
inline constexpr OptionOf<ModelOptions> kRequestMemory{
    {.name = "request-memory-mb",
     .value = "MB",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Memory for requests and their answers together, in MiB, a part of --wired-gb; one "
             "request has three quarters of it at most. What finds no room is refused with status "
             "503 or 413.",
     .default_value = "256",
     .minimum = 1,
     .maximum = 65536},
    Into<&ModelOptions::request_memory_mb>};

// What commands that load a model have in common, in the order of their help.
inline constexpr auto kModelOptions = std::to_array<OptionOf<ModelOptions>>(
    {{kCheckpoint, Into<&ModelOptions::checkpoint>}, kCtxSize});
inline constexpr auto kExpertOptions =
    std::to_array<OptionOf<ModelOptions>>({kStreaming,
                                           kNoStreaming,
                                           kBf16Streaming,
                                           kWiredGb,
                                           kExpertCacheGb,
                                           {kSidecarDir, Into<&ModelOptions::sidecar_dir>},
                                           kEviction,
                                           kDecodeResidency,
                                           kTransientPrefill,
                                           {kDirectPread, Into<&ModelOptions::direct_pread>},
                                           kAllowFallback});
inline constexpr std::array kDraftOptions = {kDraftDir, kTargetOnly, kBlockPolicy,
                                             kDraftBitsOption};
inline constexpr auto kComputeOptions = std::to_array<OptionOf<ModelOptions>>(
    {{kThreads, Into<&ModelOptions::threads>}, {kIsa, Into<&ModelOptions::isa>}, kCompute, kChunk});
inline constexpr std::array kRequestOptions = {kRequestMemory};
inline constexpr std::array kLogOptions = {kLogLevel, kLogJson};

}  // namespace mach::cli
