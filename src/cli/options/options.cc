#include "cli/options/options.h"

#include "cli/options/shared_options.h"
#include "server/http/url.h"

namespace mach::cli {
namespace {

// "diagnostic-python" where the switch was given by the name that the documentation has for it.
std::string FallbackPolicy(const Values& values) {
  if (!values.Flag(kAllowFallback.name)) return "fail-fast";
  return values.Source(kAllowFallback.name) == kAllowFallback.env_alias ? "diagnostic-python"
                                                                        : "diagnostic";
}

ModelOptions ModelOptionsFrom(const Values& values) {
  ModelOptions options;
  options.words = values.words();
  options.checkpoint = values.Text("checkpoint");
  options.ctx_size = static_cast<size_t>(values.Integer("ctx-size"));
  options.threads = static_cast<size_t>(values.Integer("threads"));
  options.isa = values.Text("isa");
  options.compute_f32 = values.Text("compute") == "f32";
  options.chunk = static_cast<size_t>(values.Integer("chunk"));
  options.streaming = values.Flag("streaming");
  options.no_streaming = values.Flag("no-streaming");
  options.bf16_streaming = values.Flag("bf16-streaming");
  options.wired_gb = values.MaybeNumber("wired-gb");
  options.expert_cache_gb = values.MaybeNumber("expert-cache-gb");
  options.sidecar_dir = values.Text("sidecar-dir");
  options.eviction = values.Text("eviction");
  options.pin_hot = values.Text("decode-residency") == "pin-hot";
  options.transient_prefill = values.Text("transient-prefill") == "1";
  options.direct_pread = values.Text("direct-pread");
  options.allow_fallback = values.Flag("allow-diagnostic-fallback");
  options.fallback_policy = FallbackPolicy(values);
  return options;
}

DraftOptions DraftOptionsFrom(const Values& values) {
  DraftOptions options;
  options.directory = values.Text("draft-dir");
  options.target_only = values.Flag("target-only");
  options.block_policy = values.Text("serving-adaptive-block-policy");
  options.bits = values.Text("draft-bits");
  return options;
}

PrefixOptions PrefixOptionsFrom(const Values& values) {
  PrefixOptions options;
  options.enabled = !values.Flag("no-prefix-cache");
  options.max_entries = static_cast<size_t>(values.Integer("prefix-cache-max-entries"));
  options.max_gb = values.MaybeNumber("prefix-cache-max-gb");
  options.block_size = static_cast<size_t>(values.Integer("prefix-cache-block-size"));
  options.disk_directory = values.Text("disk-kv-dir");
  options.disk_budget_gb = values.Number("disk-kv-budget-gb");
  options.disk_lru = values.Text("disk-kv-eviction") == "lru";
  return options;
}

std::optional<std::string> MaybeText(const Values& values, std::string_view name) {
  return values.IsGiven(name) ? std::optional(values.Text(name)) : std::nullopt;
}

size_t RequestBytesFrom(const Values& values) {
  return static_cast<size_t>(values.Integer("request-memory-mb")) << 20;
}

ReasoningField ReasoningFieldFrom(const std::string& name) {
  if (name == "reasoning_content") return ReasoningField::kReasoningContent;
  if (name == "reasoning") return ReasoningField::kReasoning;
  if (name == "none") return ReasoningField::kNone;
  if (name == "inline") return ReasoningField::kInline;
  return ReasoningField::kBoth;
}

}  // namespace

ServeOptions ServeOptionsFrom(const Values& values) {
  ServeOptions options;
  options.model = ModelOptionsFrom(values);
  options.draft = DraftOptionsFrom(values);
  options.prefix = PrefixOptionsFrom(values);
  options.aliases = values.List("alias");
  options.strict_model = values.Flag("strict-model");
  options.host = std::string(server::WithoutBrackets(values.Text("host")));
  options.port = static_cast<uint16_t>(values.Integer("port"));
  options.max_queue = static_cast<size_t>(values.Integer("max-queue"));
  options.max_queue_wait_s = values.Integer("max-queue-wait");
  options.hold_while_loading = values.Text("while-loading") == "hold";
  options.hold_timeout_s = values.Integer("hold-timeout");
  options.drain_timeout_s = values.Integer("drain-timeout");
  options.model.request_bytes = RequestBytesFrom(values);
  options.max_body_mb = static_cast<size_t>(values.Integer("max-body-mb"));
  options.reasoning_field = ReasoningFieldFrom(values.Text("reasoning-field"));
  options.api_key_file = values.Text("api-key-file");
  options.insecure_no_auth = values.Flag("insecure-no-auth");
  options.allow_hosts = values.List("allow-host");
  options.allow_origins = values.List("allow-origin");
  return options;
}

GenerateOptions GenerateOptionsFrom(const Values& values) {
  GenerateOptions options;
  options.model = ModelOptionsFrom(values);
  options.draft = DraftOptionsFrom(values);
  options.prompt = MaybeText(values, "prompt");
  options.messages_file = values.Text("messages");
  options.system = MaybeText(values, "system");
  options.raw = values.Flag("raw");
  if (values.IsGiven("max-tokens")) {
    options.max_tokens = static_cast<size_t>(values.Integer("max-tokens"));
  }
  options.json = values.Flag("json");
  options.temperature = values.MaybeNumber("temperature");
  options.top_p = values.MaybeNumber("top-p");
  options.min_p = values.MaybeNumber("min-p");
  options.repetition_penalty = values.MaybeNumber("repetition-penalty");
  options.top_k = values.MaybeInteger("top-k");
  options.presence_penalty = values.Number("presence-penalty");
  options.frequency_penalty = values.Number("frequency-penalty");
  if (const auto seed = values.MaybeInteger("seed")) options.seed = static_cast<uint64_t>(*seed);
  return options;
}

EvalOptions EvalOptionsFrom(const Values& values) {
  EvalOptions options;
  options.model = ModelOptionsFrom(values);
  options.text_file = values.Text("text");
  options.ids_file = values.Text("ids");
  options.logits_file = values.Text("logits");
  options.hidden_file = values.Text("hidden");
  options.experts_file = values.Text("experts");
  return options;
}

ArchsOptions ArchsOptionsFrom(const Values& values) { return {.json = values.Flag("json")}; }

CheckCommandOptions CheckOptionsFrom(const Values& values) {
  CheckCommandOptions options;
  ModelOptions& model = options.model;
  model.checkpoint = values.Text("checkpoint");
  model.wired_gb = values.MaybeNumber("wired-gb");
  model.ctx_size = static_cast<size_t>(values.Integer("ctx-size"));
  model.threads = static_cast<size_t>(values.Integer("threads"));
  model.chunk = static_cast<size_t>(values.Integer("chunk"));
  model.sidecar_dir = values.Text("sidecar-dir");
  model.request_bytes = RequestBytesFrom(values);
  model.compute_f32 = values.Text("compute") == "f32";
  model.allow_fallback = values.Flag("allow-diagnostic-fallback");
  options.draft.directory = values.Text("draft-dir");
  options.draft.target_only = values.Flag("target-only");
  options.draft.bits = values.Text("draft-bits");
  options.json = values.Flag("json");
  return options;
}

ModelsOptions ModelsOptionsFrom(const Values& values) {
  return {.directory = values.Text("dir"), .json = values.Flag("json")};
}

ExportSidecarOptions ExportSidecarOptionsFrom(const Values& values) {
  ExportSidecarOptions options;
  options.checkpoint = values.Text("checkpoint");
  options.output = values.Text("output");
  options.bits = values.Text("bits");
  if (const auto experts = values.MaybeInteger("num-experts")) {
    options.num_experts = static_cast<size_t>(*experts);
  }
  options.jobs = static_cast<size_t>(values.Integer("jobs"));
  return options;
}

VerifyOptions VerifyOptionsFrom(const Values& values) {
  return {.checkpoint = values.Text("checkpoint"),
          .sidecar_dir = values.Text("sidecar-dir"),
          .all = values.Flag("all")};
}

SelftestOptions SelftestOptionsFrom(const Values& values) {
  return {.isa = values.Text("isa"), .file = values.Text("file")};
}

ProbeCommandOptions ProbeOptionsFrom(const Values& values) {
  ProbeCommandOptions options;
  options.url = values.Text("url");
  options.requests = static_cast<size_t>(values.Integer("requests"));
  options.max_tokens = static_cast<size_t>(values.Integer("max-tokens"));
  options.api_key_file = values.Text("api-key-file");
  options.json = values.Flag("json");
  return options;
}

LogOptions LogOptionsFrom(const Values& values) {
  const std::string level = values.Text("log-level");
  LogOptions options;
  options.json = values.Flag("log-json");
  options.level = level == "debug"     ? LogLevel::kDebug
                  : level == "warning" ? LogLevel::kWarning
                  : level == "error"   ? LogLevel::kError
                  : level == "off"     ? LogLevel::kOff
                                       : LogLevel::kInfo;
  return options;
}

}  // namespace mach::cli
