#include "cli/option_table.h"

#include <algorithm>
#include <string>
#include <vector>

#include "cli/synth_options.h"

namespace mach::cli {
namespace {

constexpr double kMaxTokens = 1 << 30;

constexpr std::string_view kComputeChoices[] = {"int8", "f32"};
constexpr std::string_view kReasoningChoices[] = {"both", "reasoning_content", "reasoning", "none",
                                                  "inline"};
constexpr std::string_view kIsaChoices[] = {"auto",   "scalar",      "avx2",
                                            "avx512", "avx512_vnni", "neon"};
constexpr std::string_view kEvictionChoices[] = {"lookahead", "lru", "lfu"};
constexpr std::string_view kResidencyChoices[] = {"lru-only", "pin-hot"};
constexpr std::string_view kSwitchChoices[] = {"0", "1"};
constexpr std::string_view kDirectChoices[] = {"auto", "io_uring", "pread", "off"};
constexpr std::string_view kDraftBits[] = {"auto", "stored", "4", "8"};
constexpr std::string_view kLogLevels[] = {"debug", "info", "warning", "error", "off"};

constexpr std::string_view kWhileLoading[] = {"hold", "reject"};

constexpr Option kCheckpoint{
    .name = "checkpoint",
    .value = "DIRECTORY",
    .type = OptionType::kPath,
    .group = "Model",
    .help = "Directory of the model: config.json, tokenizer.json and safetensors files.",
    .env = "MANIAC_LOCAL_MOE_CHECKPOINT_PATH",
    .positional = true,
    .required = true};
constexpr Option kCtxSize{.name = "ctx-size",
                          .value = "TOKENS",
                          .type = OptionType::kInteger,
                          .group = "Model",
                          .help = "Longest sequence, prompt and answer together.",
                          .default_value = "0",
                          .default_help = "the model's own, at most 32768",
                          .minimum = 0,
                          .maximum = kMaxTokens};
constexpr Option kThreads{.name = "threads",
                          .value = "N",
                          .type = OptionType::kInteger,
                          .group = "Compute",
                          .help = "Threads that compute. The result does not depend on it.",
                          .default_value = "0",
                          .default_help = "the processors there are",
                          .minimum = 0,
                          .maximum = 1024};
constexpr Option kIsa{.name = "isa",
                      .value = "NAME",
                      .type = OptionType::kChoice,
                      .group = "Compute",
                      .help = "Instruction set of the kernels.",
                      .default_value = "auto",
                      .default_help = "the best this machine has",
                      .choices = kIsaChoices};
constexpr Option kCompute{
    .name = "compute",
    .value = "TYPE",
    .type = OptionType::kChoice,
    .group = "Compute",
    .help = "Activations of quantized layers: int8 (fast) or f32 (the reference).",
    .default_value = "int8",
    .choices = kComputeChoices};
constexpr Option kChunk{.name = "chunk",
                        .value = "TOKENS",
                        .type = OptionType::kInteger,
                        .group = "Compute",
                        .help = "Tokens of one forward pass over the prompt.",
                        .default_value = "256",
                        .minimum = 1,
                        .maximum = 65536};
constexpr Option kWiredGb{.name = "wired-gb",
                          .value = "GB",
                          .type = OptionType::kNumber,
                          .group = "Memory",
                          .help = "Ceiling on all memory that is kept, in units of 2^30 bytes.",
                          .default_help = "9, or what is free less a reserve",
                          .minimum = 0.001,
                          .maximum = 1 << 20};
constexpr Option kSidecarDir{.name = "sidecar-dir",
                             .value = "DIRECTORY",
                             .type = OptionType::kPath,
                             .group = "Experts",
                             .help = "Where the expert sidecar is.",
                             .default_help = "expert_sidecar in the model's directory"};
constexpr Option kStreaming{.name = "streaming",
                            .type = OptionType::kFlag,
                            .group = "Experts",
                            .help =
                                "Keep a bounded bank of experts in memory and read the others "
                                "from the sidecar as they are needed.",
                            .excludes = "no-streaming"};
constexpr Option kNoStreaming{.name = "no-streaming",
                              .type = OptionType::kFlag,
                              .group = "Experts",
                              .help = "Keep all experts in memory.",
                              .excludes = "streaming"};
constexpr Option kExpertCacheGb{.name = "expert-cache-gb",
                                .value = "GB",
                                .type = OptionType::kNumber,
                                .group = "Experts",
                                .help = "Size of the bank, in units of 2^30 bytes.",
                                .default_help = "what --wired-gb leaves",
                                .minimum = 0,
                                .maximum = 1 << 20};
constexpr Option kEviction{.name = "eviction",
                           .value = "POLICY",
                           .type = OptionType::kChoice,
                           .group = "Experts",
                           .help = "Which expert leaves a full bank. No policy changes a token.",
                           .default_value = "lookahead",
                           .env = "LME_BANK_EVICTION_POLICY",
                           .choices = kEvictionChoices};
constexpr Option kDecodeResidency{
    .name = "decode-residency",
    .value = "POLICY",
    .type = OptionType::kChoice,
    .group = "Experts",
    .help = "pin-hot keeps the hottest experts of each layer in up to half of the bank.",
    .default_value = "lru-only",
    .env = "LME_DECODE_RESIDENCY",
    .choices = kResidencyChoices};
constexpr Option kTransientPrefill{
    .name = "transient-prefill",
    .value = "0|1",
    .type = OptionType::kChoice,
    .group = "Experts",
    .help = "Let prompts stream through memory of their own instead of displacing the bank.",
    .default_value = "1",
    .env = "LME_TRANSIENT_PREFILL",
    .choices = kSwitchChoices};
constexpr Option kDirectPread{.name = "direct-pread",
                              .value = "MODE",
                              .type = OptionType::kChoice,
                              .group = "Experts",
                              .help = "How experts are read past the page cache.",
                              .default_value = "auto",
                              .env = "LME_DIRECT_PREAD",
                              .choices = kDirectChoices};
constexpr Option kAllowFallback{
    .name = "allow-diagnostic-fallback",
    .type = OptionType::kFlag,
    .group = "Experts",
    .help = "Start on a slow path, such as buffered reads, where the fast one does not work.",
    .env = "LME_ALLOW_DIAGNOSTIC_FALLBACK",
    .env_alias = "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK"};
constexpr Option kDraftDir{
    .name = "draft-dir",
    .value = "DIRECTORY",
    .type = OptionType::kPath,
    .group = "Speculation",
    .help = "Drafter (DFlash) that proposes tokens. It changes the speed, never the answer.",
    .default_help = "CHECKPOINT-dflash or CHECKPOINT/dflash, where there is one",
    .excludes = "target-only"};
constexpr Option kTargetOnly{.name = "target-only",
                             .type = OptionType::kFlag,
                             .group = "Speculation",
                             .help = "Load no drafter: one token after the other."};
constexpr Option kBlockPolicy{
    .name = "serving-adaptive-block-policy",
    .value = "NAME",
    .type = OptionType::kText,
    .group = "Speculation",
    .help =
        "How many tokens are proposed at a time: opencode-sampled-v1 (as many as pay), or "
        "fixed-N with N from 1 to 16.",
    .default_value = "opencode-sampled-v1"};
constexpr Option kDraftBitsOption{
    .name = "draft-bits",
    .value = "BITS",
    .type = OptionType::kChoice,
    .group = "Speculation",
    .help = "Weights of the drafter: 4 or 8 bits each, made while loading, or stored: as they are.",
    .default_value = "auto",
    .default_help = "8 with --compute int8, else stored",
    .choices = kDraftBits};
constexpr Option kLogLevel{.name = "log-level",
                           .value = "LEVEL",
                           .type = OptionType::kChoice,
                           .group = "Logging",
                           .help = "Least level of the lines on standard error.",
                           .default_value = "info",
                           .choices = kLogLevels};
constexpr Option kLogJson{.name = "log-json",
                          .type = OptionType::kFlag,
                          .group = "Logging",
                          .help = "One JSON object a line."};

constexpr Option kServe[] = {
    kCheckpoint,
    kCtxSize,
    {.name = "alias",
     .value = "NAME",
     .type = OptionType::kText,
     .group = "Model",
     .help = "A further name that clients may use for the model. Repeatable.",
     .repeatable = true},
    {.name = "strict-model",
     .type = OptionType::kFlag,
     .group = "Model",
     .help = "Refuse requests that name another model, instead of answering with this one."},
    {.name = "host",
     .value = "ADDRESS",
     .type = OptionType::kText,
     .group = "Server",
     .help = "Address to listen on. Beyond this machine a key is needed.",
     .default_value = "127.0.0.1"},
    {.name = "port",
     .value = "PORT",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Port to listen on; 0 takes any free one and prints it.",
     .default_value = "8080",
     .minimum = 0,
     .maximum = 65535},
    {.name = "max-queue",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Requests that may wait; further ones are answered with status 429.",
     .default_value = "64",
     .minimum = 0,
     .maximum = 100000},
    {.name = "max-queue-wait",
     .value = "SECONDS",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Longest wait for a turn, then status 429.",
     .default_value = "0",
     .default_help = "without a limit",
     .minimum = 0,
     .maximum = 86400},
    {.name = "while-loading",
     .value = "WHAT",
     .type = OptionType::kChoice,
     .group = "Server",
     .help = "Requests that come before the model is there: hold them, or reject them with status "
             "503.",
     .default_value = "hold",
     .choices = kWhileLoading},
    {.name = "hold-timeout",
     .value = "SECONDS",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Longest time to hold a request while loading, then status 503.",
     .default_value = "120",
     .minimum = 1,
     .maximum = 86400},
    {.name = "drain-timeout",
     .value = "SECONDS",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Time for answers under way after the first SIGTERM or SIGINT. The second one ends "
             "the server at once.",
     .default_value = "30",
     .minimum = 0,
     .maximum = 86400},
    {.name = "max-body-mb",
     .value = "MB",
     .type = OptionType::kInteger,
     .group = "Server",
     .help = "Largest request body, in MiB.",
     .default_value = "32",
     .minimum = 1,
     .maximum = 1024},
    {.name = "reasoning-field",
     .value = "WHICH",
     .type = OptionType::kChoice,
     .group = "Server",
     .help = "Where answers carry the model's reasoning; inline leaves it in the content.",
     .default_value = "both",
     .choices = kReasoningChoices},
    {.name = "api-key-file",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Security",
     .help = "Keys that clients must send, one a line. The file must be readable by you alone.",
     .excludes = "insecure-no-auth"},
    {.name = "insecure-no-auth",
     .type = OptionType::kFlag,
     .group = "Security",
     .help = "Listen beyond this machine without a key."},
    {.name = "allow-host",
     .value = "NAME",
     .type = OptionType::kText,
     .group = "Security",
     .help = "A Host name to accept, besides this machine's and the address of --host. Repeatable.",
     .repeatable = true},
    {.name = "allow-origin",
     .value = "ORIGIN",
     .type = OptionType::kText,
     .group = "Security",
     .help = "An origin whose pages may use the server, such as https://app.example or "
             "moz-extension://*. Repeatable.",
     .repeatable = true},
    kStreaming,
    kNoStreaming,
    kWiredGb,
    kExpertCacheGb,
    kSidecarDir,
    kEviction,
    kDecodeResidency,
    kTransientPrefill,
    kDirectPread,
    kAllowFallback,
    kDraftDir,
    kTargetOnly,
    kBlockPolicy,
    kDraftBitsOption,
    kThreads,
    kIsa,
    kCompute,
    kChunk,
    kLogLevel,
    kLogJson,
};
constexpr Example kServeExamples[] = {
    {"mach serve models/mach-tiny", "Serves on http://127.0.0.1:8080/v1."},
    {"mach serve models/mach-tiny --port 0", "Takes a free port and prints it."},
    {"mach serve models/mach-tiny --host 0.0.0.0 --api-key-file keys.txt",
     "Serves the network, to clients with a key."},
};

constexpr Option kGenerate[] = {
    kCheckpoint,
    kCtxSize,
    {.name = "prompt",
     .value = "TEXT",
     .type = OptionType::kText,
     .group = "Input",
     .help = "What the user says.",
     .excludes = "messages"},
    {.name = "messages",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Input",
     .help = "A JSON file with the messages of a conversation; - is standard input."},
    {.name = "system",
     .value = "TEXT",
     .type = OptionType::kText,
     .group = "Input",
     .help = "A system message in front.",
     .excludes = "raw"},
    {.name = "raw",
     .type = OptionType::kFlag,
     .group = "Input",
     .help = "Continue the prompt as it stands, without the chat template.",
     .excludes = "messages"},
    {.name = "max-tokens",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Output",
     .help = "Most tokens of the answer.",
     .default_value = "0",
     .default_help = "what the context leaves",
     .minimum = 0,
     .maximum = kMaxTokens},
    {.name = "json",
     .type = OptionType::kFlag,
     .group = "Output",
     .help = "Print one JSON object with text, tokens and timings."},
    {.name = "temperature",
     .value = "T",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "0 takes the most probable token.",
     .default_help = "the model's own",
     .minimum = 0,
     .maximum = 100},
    {.name = "top-k",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Sampling",
     .help = "Draw from the N most probable tokens; 0 from all.",
     .default_help = "the model's own",
     .minimum = 0,
     .maximum = kMaxTokens},
    {.name = "top-p",
     .value = "P",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "Draw from the most probable tokens that together have probability P.",
     .default_help = "the model's own",
     .minimum = 1e-6,
     .maximum = 1},
    {.name = "min-p",
     .value = "P",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "Draw from tokens at least P times as probable as the most probable one.",
     .default_help = "the model's own",
     .minimum = 0,
     .maximum = 1},
    {.name = "repetition-penalty",
     .value = "X",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "Factor against tokens of the prompt and the answer; 1 is off.",
     .default_help = "the model's own",
     .minimum = 0.01,
     .maximum = 100},
    {.name = "presence-penalty",
     .value = "X",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "Taken from the logit of each token in the answer.",
     .default_value = "0",
     .minimum = -2,
     .maximum = 2},
    {.name = "frequency-penalty",
     .value = "X",
     .type = OptionType::kNumber,
     .group = "Sampling",
     .help = "As --presence-penalty, for each occurrence.",
     .default_value = "0",
     .minimum = -2,
     .maximum = 2},
    {.name = "seed",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Sampling",
     .help = "The same seed gives the same answer.",
     .default_help = "a random one",
     .minimum = 0,
     .maximum = 9007199254740992.0},
    kStreaming,
    kNoStreaming,
    kWiredGb,
    kExpertCacheGb,
    kSidecarDir,
    kEviction,
    kDecodeResidency,
    kTransientPrefill,
    kDirectPread,
    kAllowFallback,
    kDraftDir,
    kTargetOnly,
    kBlockPolicy,
    kDraftBitsOption,
    kThreads,
    kIsa,
    kCompute,
    kChunk,
    kLogLevel,
    kLogJson,
};
constexpr Example kGenerateExamples[] = {
    {"mach generate models/mach-tiny --prompt 'What is a heron?'", "Answers on standard output."},
    {"mach generate models/mach-tiny --raw --prompt 'A heron is' --temperature 0 --max-tokens 20",
     "Continues a text."},
    {"mach generate models/mach-tiny --messages chat.json --json", "Answers a conversation."},
};

constexpr Option kEval[] = {
    kCheckpoint,
    kCtxSize,
    {.name = "text",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Input",
     .help = "A text to score: prints its perplexity.",
     .excludes = "ids"},
    {.name = "ids",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Input",
     .help = "Token ids to score instead: a JSON array."},
    {.name = "logits",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Output",
     .help = "Write the logits of every position to this safetensors file."},
    {.name = "hidden",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Output",
     .help = "Write the residual stream before each layer to this safetensors file."},
    {.name = "experts",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Output",
     .help = "Write the experts that each layer chose to this safetensors file."},
    kStreaming,
    kNoStreaming,
    kWiredGb,
    kExpertCacheGb,
    kSidecarDir,
    kEviction,
    kDecodeResidency,
    kTransientPrefill,
    kDirectPread,
    kAllowFallback,
    kThreads,
    kIsa,
    kCompute,
    kChunk,
    kLogLevel,
    kLogJson,
};
constexpr Example kEvalExamples[] = {
    {"mach eval models/mach-tiny --text README.md", "Prints the perplexity of a text."},
};

constexpr Option kArchs[] = {
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
};
constexpr Example kArchsExamples[] = {{"mach archs", "Lists what can be served."}};

constexpr Option kCheck[] = {
    kCheckpoint,
    kCtxSize,
    kWiredGb,
    kThreads,
    kChunk,
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
};
constexpr Example kCheckExamples[] = {
    {"mach check models/mach-tiny", "Says whether the model fits into this machine's memory."},
    {"mach check ~/models/big --wired-gb 12 --json", "The same for a given ceiling, as JSON."},
};

constexpr Option kModels[] = {
    {.name = "dir",
     .value = "DIRECTORY",
     .type = OptionType::kPath,
     .group = "Model",
     .help = "Where models are, each in a directory of its own.",
     .default_value = "models"},
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON array."},
};
constexpr Example kModelsExamples[] = {{"mach models --dir ~/models", "Lists what is there."}};

constexpr std::string_view kBitsChoices[] = {"keep", "4", "8", "16"};
constexpr Option kExportSidecar[] = {
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
constexpr Example kExportSidecarExamples[] = {
    {"mach export-sidecar models/mach-tiny", "Writes models/mach-tiny/expert_sidecar."},
    {"mach export-sidecar ~/models/big --bits 4 --output /ssd/big-experts",
     "Quantizes a 16-bit model's experts, onto another disk."},
};

constexpr Option kVerify[] = {
    kCheckpoint,
    kSidecarDir,
    {.name = "all",
     .type = OptionType::kFlag,
     .group = "Check",
     .help = "Read every expert and compare its checksum, too."},
};
constexpr Example kVerifyExamples[] = {
    {"mach verify models/mach-tiny --all", "Reads the whole sidecar."},
};

constexpr Option kProbe[] = {
    {.name = "url",
     .value = "URL",
     .type = OptionType::kText,
     .group = "Server",
     .help = "Base URL of the server.",
     .default_value = "http://127.0.0.1:8080/v1"},
    {.name = "api-key-file",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Server",
     .help = "File whose first key is sent."},
    {.name = "requests",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Work",
     .help = "Requests to drive it with, one after the other.",
     .default_value = "3",
     .minimum = 1,
     .maximum = 1000},
    {.name = "max-tokens",
     .value = "N",
     .type = OptionType::kInteger,
     .group = "Work",
     .help = "Tokens of each answer.",
     .default_value = "64",
     .minimum = 1,
     .maximum = 100000},
    {.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
};
constexpr Example kProbeExamples[] = {
    {"mach probe --url http://127.0.0.1:8080/v1", "Judges a running server."},
};

constexpr Option kSelftest[] = {
    kIsa,
    {.name = "file",
     .value = "FILE",
     .type = OptionType::kPath,
     .group = "Check",
     .help = "A file on the disk whose direct reads are tried.",
     .default_value = "/proc/self/exe",
     .default_help = "the program itself"},
};
constexpr Example kSelftestExamples[] = {
    {"mach selftest", "Tries the vector kernels and the direct reads of this machine."},
    {"mach selftest --file ~/models/big/expert_sidecar/index.bin", "The same for that disk."},
};

constexpr Command kCommands[] = {
    {"serve", "Serve a model over an OpenAI-compatible API",
     "Loads a model and answers OpenAI's chat API over HTTP.", kServe, kServeExamples},
    {"generate", "Generate text on the command line",
     "Answers one prompt or conversation on standard output.", kGenerate, kGenerateExamples},
    {"eval", "Score a text, and write out what the model computes",
     "Runs a model over a text and reports how probable it finds it.", kEval, kEvalExamples},
    {"archs", "List the model architectures that are supported",
     "Lists the model architectures that are supported.", kArchs, kArchsExamples},
    {"check", "Tell whether a model fits into this machine",
     "Reads headers only, and says how each way of keeping the experts would fit into memory:\n"
     "all of them (stacked), or a bank of them with the rest on disk (streaming). Exits with 0\n"
     "when one fits, 1 when it is tight, 2 when none fits, 3 when nothing can be told.",
     kCheck, kCheckExamples},
    {"models", "List the models that are installed",
     "Lists the models in a directory, with their sizes and whether they can be served.", kModels,
     kModelsExamples},
    {"export-sidecar", "Write a model's experts for streaming",
     "Writes the expert sidecar of a model: one record for each expert, as the kernels read it,\n"
     "so that experts can stream from disk. Interrupted, the same command goes on with it.",
     kExportSidecar, kExportSidecarExamples},
    {"selftest", "Try the fast paths of this build on this machine",
     "Holds the vector kernels against the scalar code, tries direct reads, and says\n"
     "native_extension=ready, or what is missing. Exits with 0 when both work, else 1.",
     kSelftest, kSelftestExamples},
    {"verify", "Check a model's files and its expert sidecar",
     "Checks the headers of a model and that its sidecar belongs to it; with --all every byte of\n"
     "the sidecar. Exits with 0 when all is well, else 1.",
     kVerify, kVerifyExamples},
    {"synth", "Write a model of random weights, for benchmarks",
     "Writes a checkpoint of any size with seeded random weights in a published layout. What it\n"
     "says is noise, but it takes the memory, the reads and the arithmetic of a real one. It has\n"
     "no end-of-turn token: answers go on to --max-tokens.",
     kSynthOptions, kSynthExamples},
    {"probe", "Judge a running server by its statistics",
     "Drives a running server with a few requests, and says what mends what is wrong.", kProbe,
     kProbeExamples},
};

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Command> Commands() { return kCommands; }

const Command* FindCommand(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string_view Nearest(std::string_view typed, std::span<const std::string_view> names) {
  constexpr size_t kMaxTyped = 64;
  if (typed.size() > kMaxTyped) return {};
  std::string_view best;
  size_t least = std::max<size_t>(2, typed.size() / 3) + 1;
  for (const std::string_view name : names) {
    const size_t distance = EditDistance(typed, name);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace mach::cli
