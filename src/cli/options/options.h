// What each command is told, in types. The rows of the option table fill the members; without a
// value or a default a member is what it is here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/log.h"
#include "model/synth/shape.h"

namespace mach::cli {

struct ModelOptions {
  std::vector<std::string> words;  // the command line as it was typed
  std::string checkpoint;
  size_t ctx_size = 0;       // 0: the model's own
  size_t threads = 0;        // 0: the processors there are
  std::string isa = "auto";  // or a name
  bool compute_f32 = false;
  size_t chunk = 256;
  bool streaming = false;  // one of the two at most
  bool no_streaming = false;
  bool bf16_streaming = false;
  std::optional<double> wired_gb;
  std::optional<double> expert_cache_gb;
  size_t request_memory_mb = 0;  // a server's, for requests and their answers
  std::string sidecar_dir;       // empty: the checkpoint's own
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
  bool enabled = true;
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
  LogOptions log;
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
  LogOptions log;
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
  LogOptions log;
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

// A size of a synthetic model that is given.
struct SynthSize {
  std::string_view option;  // its name
  size_t model::SynthShape::*size = nullptr;
  bool delta_net = false;  // of qwen3_5_moe only
  size_t value = 0;
};

struct SynthCommandOptions {
  std::string output;
  size_t shard_mb = 0;
  std::string shape;   // of model::SynthPreset; empty: a small one
  std::string family;  // empty: the shape's
  int bits = 4;
  uint64_t seed = 0;
  std::string tokenizer;         // directory; empty: none
  std::vector<SynthSize> sizes;  // which win over the shape's
};

struct BenchDiskOptions {
  std::string directory;
  size_t file_mb = 0;
  size_t memory_mb = 0;
  std::optional<size_t> record_kb;
  size_t case_ms = 0;  // of one case in one round
  size_t rounds = 0;
};

struct BenchStreamingOptions {
  std::string checkpoint;
  std::string sidecar_dir;   // empty: the checkpoint's own
  std::string direct_pread;  // "auto", "io_uring", "pread"
  size_t threads = 0;        // 0: the processors there are
  double bank = 0;           // share of all experts
  size_t tokens = 0;
  size_t prompt_tokens = 0;
  size_t rounds = 0;
  bool decode_only = false;
};

struct BenchTraceOptions {
  std::string trace;
  size_t record_kb = 0;
  std::string record;  // the model that writes the trace; empty: it is there
  std::string text;    // a file, for recording
  size_t tokens = 0;
};

struct BenchMatmulOptions {
  size_t threads = 0;  // 0: the processors there are
  std::string isa;     // "auto" or a name
  size_t memory_mb = 0;
  size_t rounds = 0;
  int group = 0;
  bool quick = false;
};

// Of one command.
using CommandOptions =
    std::variant<ServeOptions, GenerateOptions, EvalOptions, ArchsOptions, CheckCommandOptions,
                 ModelsOptions, ExportSidecarOptions, VerifyOptions, SelftestOptions,
                 SynthCommandOptions, BenchDiskOptions, BenchStreamingOptions, BenchTraceOptions,
                 BenchMatmulOptions, ProbeCommandOptions>;

}  // namespace mach::cli
