#include "cli/options/foreign_names.h"

#include <algorithm>
#include <vector>

#include "base/shell_words.h"

namespace mach::cli {
namespace {

constexpr std::string_view kNoGpu = "it is about GPUs, which mach does not use yet: leave it out";
constexpr std::string_view kOneProcess =
    "mach runs one model in one process on one machine's processors: leave it out";
constexpr std::string_view kOwnFormat =
    "weights stay in the checkpoint's format (MLX affine 4 and 8 bit, or 16 bit): leave it out";
constexpr std::string_view kOwnTemplate =
    "the checkpoint's own chat template is always used: leave it out";
constexpr std::string_view kOwnParser =
    "tool calls and reasoning are recognised by the model's family: leave it out";
constexpr std::string_view kRequests =
    "one request runs at a time and the others wait; --max-queue bounds how many";
constexpr std::string_view kProxy = "TLS is a reverse proxy's work (nginx, caddy): leave it out";
constexpr std::string_view kKeyFile =
    "a file with one key a line; a key on the command line could be read by every user of the "
    "machine";
constexpr std::string_view kCeiling =
    "gigabytes in all, not a share: 'mach check MODEL' says how much it takes";
constexpr std::string_view kMemoryIsOurs =
    "weights are never mapped from files, and what stays in memory is bounded by --wired-gb: leave "
    "it out";
constexpr std::string_view kOffload =
    "--streaming keeps the experts on disk and the hot ones in memory: use it instead";
constexpr std::string_view kTalk =
    "'mach serve MODEL --no-streaming' serves a model on http://127.0.0.1:8080/v1, and 'mach "
    "generate MODEL --prompt TEXT' answers once on the command line";
constexpr std::string_view kUseServe = "'mach serve MODEL --no-streaming' starts a server";
constexpr std::string_view kFetch =
    "mach downloads nothing: 'hf download ORG/NAME --local-dir models/NAME' does, and then 'mach "
    "check models/NAME' tells whether it fits";

constexpr ForeignOption kOptions[] = {
    // The model.
    {"-m", "checkpoint", ""},
    {"--model", "checkpoint", ""},
    {"--model-path", "checkpoint", ""},
    {"--checkpoint", "checkpoint", ""},
    {"-hf", "", kFetch},
    {"--hf-repo", "", kFetch},
    {"--download-dir", "", kFetch},
    {"-a", "alias", ""},
    {"--served-model-name", "alias", ""},
    {"--tokenizer", "", "the checkpoint's own tokenizer.json is always used: leave it out"},
    {"--trust-remote-code", "", "code of a checkpoint is never run: leave it out"},
    {"--lora", "", "adapters are not applied: merge them into the model first"},
    {"--enable-lora", "", "adapters are not applied: merge them into the model first"},
    {"--mmproj", "", "images are not read: leave it out"},
    // Context and memory.
    {"-c", "ctx-size", ""},
    {"--ctx", "ctx-size", ""},
    {"--ctx-len", "ctx-size", ""},
    {"--context-length", "ctx-size", ""},
    {"--max-model-len", "ctx-size", ""},
    {"--max-seq-len", "ctx-size", ""},
    {"--num-ctx", "ctx-size", ""},
    {"--gpu-memory-utilization", "wired-gb", kCeiling},
    {"--mem-fraction-static", "wired-gb", kCeiling},
    {"--max-memory", "wired-gb", "in units of 2^30 bytes"},
    {"--swap-space", "", kMemoryIsOurs},
    {"--mlock", "", kMemoryIsOurs},
    {"--mmap", "", kMemoryIsOurs},
    {"--no-mmap", "", kMemoryIsOurs},
    {"--cpu-offload-gb", "streaming", kOffload},
    {"--cpu-moe", "streaming", kOffload},
    {"-cmoe", "streaming", kOffload},
    {"--n-cpu-moe", "streaming", kOffload},
    {"-ncmoe", "streaming", kOffload},
    {"-ot", "streaming", kOffload},
    {"--override-tensor", "streaming", kOffload},
    // Compute.
    {"-t", "threads", ""},
    {"--n-threads", "threads", ""},
    {"-tb", "threads", "prompts and answers have the same threads"},
    {"--threads-batch", "threads", "prompts and answers have the same threads"},
    {"-b", "chunk", ""},
    {"--batch-size", "chunk", ""},
    {"-ub", "chunk", ""},
    {"--ubatch-size", "chunk", ""},
    {"--max-num-batched-tokens", "chunk", ""},
    {"-ngl", "", kNoGpu},
    {"--gpu-layers", "", kNoGpu},
    {"--n-gpu-layers", "", kNoGpu},
    {"--num-gpu", "", kNoGpu},
    {"--device", "", kNoGpu},
    {"-sm", "", kNoGpu},
    {"--split-mode", "", kNoGpu},
    {"-ts", "", kNoGpu},
    {"--tensor-split", "", kNoGpu},
    {"--main-gpu", "", kNoGpu},
    {"--enforce-eager", "", kNoGpu},
    {"-fa", "", "attention has one implementation, which is always used: leave it out"},
    {"--flash-attn", "", "attention has one implementation, which is always used: leave it out"},
    {"-tp", "", kOneProcess},
    {"--tensor-parallel-size", "", kOneProcess},
    {"--pipeline-parallel-size", "", kOneProcess},
    {"--data-parallel-size", "", kOneProcess},
    {"--enable-expert-parallel", "", kOneProcess},
    {"--dtype", "compute", "of activations; weights stay in the checkpoint's format"},
    {"-q", "", kOwnFormat},
    {"--quantization", "", kOwnFormat},
    {"-ctk", "", "keys and values are f16, with --compute f32 also f32: leave it out"},
    {"-ctv", "", "keys and values are f16, with --compute f32 also f32: leave it out"},
    {"--cache-type-k", "", "keys and values are f16, with --compute f32 also f32: leave it out"},
    {"--cache-type-v", "", "keys and values are f16, with --compute f32 also f32: leave it out"},
    {"--kv-cache-dtype", "", "keys and values are f16, with --compute f32 also f32: leave it out"},
    // Requests.
    {"-np", "max-queue", kRequests},
    {"--parallel", "max-queue", kRequests},
    {"--max-num-seqs", "max-queue", kRequests},
    {"-cb", "max-queue", kRequests},
    {"--cont-batching", "max-queue", kRequests},
    {"--enable-prefix-caching", "prefix-cache", "it is the default"},
    {"--no-enable-prefix-caching", "no-prefix-cache", ""},
    {"--cache-prompt", "prefix-cache", "it is the default"},
    {"--slot-save-path", "disk-kv-dir", ""},
    {"-md", "draft-dir", "of a DFlash drafter"},
    {"--model-draft", "draft-dir", "of a DFlash drafter"},
    {"--draft-model", "draft-dir", "of a DFlash drafter"},
    {"--speculative-model", "draft-dir", "of a DFlash drafter"},
    {"--speculative-config", "draft-dir", "of a DFlash drafter"},
    {"--draft-max", "serving-adaptive-block-policy", "fixed-N; the default chooses by itself"},
    {"--num-speculative-tokens", "serving-adaptive-block-policy",
     "fixed-N; the default chooses by itself"},
    // The server.
    {"--api-key", "api-key-file", kKeyFile},
    {"--allowed-origins", "allow-origin", "one origin each; repeat it"},
    {"--cors", "allow-origin", "one origin each; repeat it"},
    {"--reasoning-parser", "reasoning-field", "where answers carry the reasoning"},
    {"--reasoning-format", "reasoning-field", "where answers carry the reasoning"},
    {"--enable-auto-tool-choice", "", kOwnParser},
    {"--tool-call-parser", "", kOwnParser},
    {"--chat-template", "", kOwnTemplate},
    {"--chat-template-file", "", kOwnTemplate},
    {"--jinja", "", kOwnTemplate},
    {"--metrics", "", "GET /metrics is always there: leave it out"},
    {"--slots", "", "GET /mach/requests is always there: leave it out"},
    {"--props", "", "GET /props is always there: leave it out"},
    {"--ssl-keyfile", "", kProxy},
    {"--ssl-certfile", "", kProxy},
    {"--ssl-key-file", "", kProxy},
    {"--ssl-cert-file", "", kProxy},
    {"--verbose", "log-level", "'debug' says more"},
    {"-v", "log-level", "'debug' says more; 'mach --version' prints the version"},
    {"-V", "", "'mach --version' prints the version"},
    {"--log-disable", "log-level", "'off' says nothing"},
    {"--quiet", "log-level", "'error' says less"},
    {"--disable-log-requests", "log-level", "'warning' says less"},
    // Generation.
    {"-p", "prompt", ""},
    {"-f", "messages", "a JSON file with messages"},
    {"--file", "messages", "a JSON file with messages"},
    {"-sys", "system", ""},
    {"--system-prompt", "system", ""},
    {"-n", "max-tokens", ""},
    {"--n-predict", "max-tokens", ""},
    {"--predict", "max-tokens", ""},
    {"--num-predict", "max-tokens", ""},
    {"--max-new-tokens", "max-tokens", ""},
    {"--temp", "temperature", ""},
    {"-s", "seed", ""},
    {"--repeat-penalty", "repetition-penalty", ""},
    {"-i", "", "there is no dialog on the command line: 'mach serve' has a page and an API"},
    {"--interactive", "",
     "there is no dialog on the command line: 'mach serve' has a page and an API"},
    {"-cnv", "", "there is no dialog on the command line: 'mach serve' has a page and an API"},
    {"--conversation", "",
     "there is no dialog on the command line: 'mach serve' has a page and an API"},
    // Export.
    {"-j", "jobs", ""},
    {"-o", "output", ""},
    {"--outfile", "output", ""},
    {"--outtype", "bits", ""},
    {"--q-bits", "bits", ""},
};

constexpr ForeignCommand kForeignCommands[] = {
    {"run", kTalk},
    {"chat", kTalk},
    {"cli", kTalk},
    {"complete", kTalk},
    {"pull", kFetch},
    {"download", kFetch},
    {"get", kFetch},
    {"list", "'mach models' lists the models in a directory, 'mach archs' what can be served"},
    {"ls", "'mach models' lists the models in a directory, 'mach archs' what can be served"},
    {"ps",
     "a server has one model: GET /mach/requests lists what it works on, and 'mach probe' "
     "judges it"},
    {"status", "'mach probe' judges a running server, GET /health says whether it is there"},
    {"health", "'mach probe' judges a running server, GET /health says whether it is there"},
    {"show", "'mach check MODEL' says what a model is and whether it fits"},
    {"info", "'mach check MODEL' says what a model is and whether it fits"},
    {"inspect", "'mach check MODEL' says what a model is and whether it fits"},
    {"rm", "a model is its directory: remove that"},
    {"delete", "a model is its directory: remove that"},
    {"stop", "a server ends by SIGTERM, or Ctrl-C where it runs"},
    {"create", "'mach export-sidecar MODEL' writes a model's experts for streaming"},
    {"convert",
     "'mach export-sidecar MODEL' writes a model's experts for streaming; the rest of a "
     "checkpoint is read as it is"},
    {"quantize", "'mach export-sidecar MODEL --bits 4' quantizes a 16-bit model's experts"},
    {"server", kUseServe},
    {"start", kUseServe},
    {"launch", kUseServe},
    {"up", kUseServe},
    {"api_server", kUseServe},
    {"perplexity", "'mach eval MODEL --text FILE' prints the perplexity of a text"},
    {"ppl", "'mach eval MODEL --text FILE' prints the perplexity of a text"},
    {"doctor", "'mach selftest' tries the fast paths of this machine"},
    {"benchmark", "'mach bench' measures"},
};

// Arguments that are the value of an option here.
struct Misplaced {
  std::string_view command;
  std::string_view option;
};
constexpr Misplaced kMisplaced[] = {{"generate", "prompt"}, {"eval", "text"}, {"models", "dir"}};

const Option* Find(const Command& command, std::string_view name) {
  for (const Option& option : command.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

std::string IsHere(const Command& command, const Option& option) {
  const std::string name(option.name);
  if (!option.positional) return "it is --" + name + " here";
  return "it is given without an option here: mach " + std::string(command.name) + " <" + name +
         ">";
}

// "'mach generate' and 'mach eval'" of the commands that have such an option; empty for none.
std::string Having(std::string_view name) {
  std::vector<std::string> found;
  for (const Command& command : Commands()) {
    const Option* option = Find(command, name);
    if (option != nullptr && !option->positional) {
      found.push_back("'mach " + std::string(command.name) + "'");
    }
  }
  std::string out;
  for (size_t i = 0; i < found.size(); ++i) {
    out += (i == 0 ? "" : i + 1 == found.size() ? " and " : ", ") + found[i];
  }
  return out;
}

// MODEL in the text as what was typed in its place, and ORG/NAME where it may be such an id.
std::string WithModel(std::string_view text, std::span<const std::string> arguments) {
  const auto given = std::ranges::find_if(
      arguments, [](const std::string& word) { return !word.empty() && !word.starts_with('-'); });
  std::string out(text);
  if (given == arguments.end()) return out;
  const auto replace = [&out](std::string_view what, const std::string& with) {
    for (size_t at = 0; (at = out.find(what, at)) != std::string::npos; at += with.size()) {
      out.replace(at, what.size(), with);
    }
  };
  replace("MODEL", ShellQuoted(*given));
  const size_t slash = given->find('/');
  if (slash != std::string::npos && given->find('/', slash + 1) == std::string::npos) {
    replace("ORG/NAME", ShellQuoted(*given));
    replace("models/NAME", ShellQuoted("models/" + given->substr(slash + 1)));
  }
  return out;
}

}  // namespace

std::span<const ForeignOption> ForeignOptions() { return kOptions; }
std::span<const ForeignCommand> ForeignCommands() { return kForeignCommands; }

std::string OptionMeant(const Command& command, std::string_view typed) {
  for (const ForeignOption& row : kOptions) {
    if (row.theirs != typed) continue;
    if (row.ours.empty()) return std::string(row.says);
    const std::string says = row.says.empty() ? "" : ": " + std::string(row.says);
    if (const Option* option = Find(command, row.ours)) {
      return IsHere(command, *option) + says;
    }
    const std::string having = Having(row.ours);
    return having.empty() ? "" : "it is --" + std::string(row.ours) + " of " + having + says;
  }
  if (!typed.starts_with("--")) return "";
  const std::string having = Having(typed.substr(2));
  return having.empty() ? "" : "it is an option of " + having;
}

std::string CommandMeant(std::string_view typed, std::span<const std::string> arguments) {
  for (const ForeignCommand& row : kForeignCommands) {
    if (row.theirs == typed) return WithModel(row.says, arguments);
  }
  // A model without a command.
  if (typed.find('/') == std::string_view::npos) return "";
  const std::string model(typed);
  return WithModel("a command comes first: " + std::string(kTalk), std::span(&model, 1));
}

std::string LeadingOptionMeant(std::string_view typed, std::span<const std::string> arguments) {
  for (const ForeignOption& row : kOptions) {
    if (row.theirs == typed && row.ours == "checkpoint") {
      return WithModel("a command comes first, then the model: " + std::string(kTalk), arguments);
    }
  }
  return "a command comes first, then its options: mach COMMAND [options]";
}

std::string ArgumentMeant(const Command& command, const std::string& typed) {
  for (const Misplaced& row : kMisplaced) {
    if (row.command == command.name) {
      return "did you mean '--" + std::string(row.option) + " " + ShellQuoted(typed) + "'?";
    }
  }
  return "";
}

}  // namespace mach::cli
