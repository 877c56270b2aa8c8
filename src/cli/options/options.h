// What each command is told, in types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/options/command_line.h"

namespace mach::cli {

struct ModelOptions {
  std::vector<std::string> words;  // the command line as it was typed
  std::string checkpoint;
  size_t ctx_size = 0;  // 0: the model's own
  size_t threads = 0;   // 0: the processors there are
  std::string isa;      // "auto" or a name
  bool compute_f32 = false;
  size_t chunk = 256;
  bool streaming = false;  // one of the two at most
  bool no_streaming = false;
  bool bf16_streaming = false;
  std::optional<double> wired_gb;
  std::optional<double> expert_cache_gb;
  size_t request_bytes = 0;  // a server's, for requests and their answers
  std::string sidecar_dir;   // empty: the checkpoint's own
  std::string eviction;
  bool pin_hot = false;
  bool transient_prefill = true;
  std::string direct_pread;  // "auto", "io_uring", "pread", "off"
  bool allow_fallback = false;
  std::string fallback_policy = "fail-fast";  // of it, as the documentation names it
};

struct DraftOptions {
  std::string directory;  // empty: the checkpoint's own, where there is one
  bool target_only = false;
  std::string block_policy;
  std::string bits;  // "auto", "stored", "4" or "8"
};

struct PrefixOptions {
  bool enabled = false;
  size_t max_entries = 256;
  std::optional<double> max_gb;  // unset: residency::DefaultPrefixBytes
  size_t block_size = 64;
  std::string disk_directory;  // empty: none
  double disk_budget_gb = 0;
  bool disk_lru = false;
};

enum class ReasoningField : unsigned char { kBoth, kReasoningContent, kReasoning, kNone, kInline };

struct ServeOptions {
  ModelOptions model;
  DraftOptions draft;
  PrefixOptions prefix;
  std::vector<std::string> aliases;
  bool strict_model = false;
  std::string host;
  uint16_t port = 0;
  size_t max_queue = 0;
  int64_t max_queue_wait_s = 0;  // 0: without a limit
  bool hold_while_loading = true;
  int64_t hold_timeout_s = 0;
  int64_t drain_timeout_s = 0;
  size_t max_body_mb = 0;
  ReasoningField reasoning_field = ReasoningField::kBoth;
  std::string api_key_file;  // empty: no keys
  bool insecure_no_auth = false;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
};

// Unset sampling parameters are the model's.
struct GenerateOptions {
  ModelOptions model;
  DraftOptions draft;
  std::optional<std::string> prompt;
  std::string messages_file;  // empty: none
  std::optional<std::string> system;
  bool raw = false;
  std::optional<size_t> max_tokens;
  bool json = false;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
  double presence_penalty = 0, frequency_penalty = 0;
  std::optional<uint64_t> seed;
};

struct EvalOptions {
  ModelOptions model;
  std::string text_file, ids_file;                     // one of them
  std::string logits_file, hidden_file, experts_file;  // empty: not written
};

struct ArchsOptions {
  bool json = false;
};

struct CheckCommandOptions {
  ModelOptions model;  // those that decide what fits
  DraftOptions draft;
  bool json = false;
};

struct ModelsOptions {
  std::string directory;
  bool json = false;
};

struct ExportSidecarOptions {
  std::string checkpoint;
  std::string output;  // empty: in the checkpoint
  std::string bits;    // "keep", "4", "8", "16"
  std::optional<size_t> num_experts;
  size_t jobs = 0;  // 0: the processors there are
};

struct VerifyOptions {
  std::string checkpoint;
  std::string sidecar_dir;  // empty: the checkpoint's own
  bool all = false;
};

struct ProbeCommandOptions {
  std::string url;
  size_t requests = 0;
  size_t max_tokens = 0;
  std::string api_key_file;  // empty: no key
  bool json = false;
};

struct SelftestOptions {
  std::string isa;   // "auto" or a name
  std::string file;  // whose file system is probed
};

ServeOptions ServeOptionsFrom(const Values& values);
GenerateOptions GenerateOptionsFrom(const Values& values);
EvalOptions EvalOptionsFrom(const Values& values);
ArchsOptions ArchsOptionsFrom(const Values& values);
CheckCommandOptions CheckOptionsFrom(const Values& values);
ModelsOptions ModelsOptionsFrom(const Values& values);
ExportSidecarOptions ExportSidecarOptionsFrom(const Values& values);
VerifyOptions VerifyOptionsFrom(const Values& values);
SelftestOptions SelftestOptionsFrom(const Values& values);

ProbeCommandOptions ProbeOptionsFrom(const Values& values);

// Of commands with --log-level and --log-json.
LogOptions LogOptionsFrom(const Values& values);

}  // namespace mach::cli
