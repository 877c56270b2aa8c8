#include "cli/commands/check_report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/clock.h"
#include "base/topology.h"
#include "base/units.h"
#include "cli/commands/load_model.h"
#include "cli/load_codec.h"
#include "engine/model_defaults.h"
#include "experts/hit_rate.h"
#include "residency/ceiling.h"
#include "residency/headers.h"
#include "residency/loaded_model.h"
#include "residency/residency.h"
#include "spec/memory.h"

namespace mach::cli {
namespace {

// Below this share of hits a model runs at the speed of the disk.
constexpr double kLowHitRate = 0.6;
// A resident model that leaves less than this share of the ceiling is tight.
constexpr double kHeadroom = 0.05;

std::string Percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f %%", share * 100);
  return text;
}

// What the modes of a report are measured with.
struct Sizing {
  const residency::Headers& headers;
  residency::PlanOptions options;  // its rows are those asked for, and it has no context yet
  size_t ctx_size = 0;             // asked for; 0: each mode's default
  std::optional<spec::DraftModel::Needs> drafter;
  size_t ceiling = 0;
  size_t request_bytes = 0;

  spec::DecodeNeeds Decode(const residency::PlanOptions& plan) const {
    return spec::MeasureDecode(headers.config, plan, drafter, /*notes=*/true);
  }

  // Chooses the context of a mode whose experts take `experts` bytes at least, as a load does, and
  // sets what depends on it.
  Status Size(bool streaming, size_t experts, ModeReport& mode) const {
    residency::PlanOptions plan = options;
    plan.context_tokens = ctx_size;
    if (ctx_size == 0) {
      const size_t room = ceiling - std::min(ceiling, mode.needs.weights + experts);
      MACH_TRY(plan.context_tokens,
               residency::DefaultContext(
                   headers.config, options, room, streaming,
                   [&](const model::ModelConfig&, const residency::PlanOptions& p) {
                     return Result<size_t>(Decode(p).total() + request_bytes);
                   }));
    }
    plan.max_rows = std::min(options.max_rows, plan.context_tokens);
    mode.context_tokens = plan.context_tokens;
    residency::SetContext(headers.config, plan, mode.needs);
    mode.decode = Decode(plan);
    mode.needs.decode = mode.decode.total() + request_bytes;
    return Ok();
  }
};

// What a mode reserves, with experts and staging as given.
void SetMemory(const Sizing& sizing, size_t experts, size_t staging, ModeReport& mode) {
  const auto set = [&](MemoryTag tag, size_t bytes) {
    mode.memory[static_cast<size_t>(tag)] = bytes;
  };
  set(MemoryTag::kWeights, mode.needs.weights);
  set(MemoryTag::kExperts, experts);
  set(MemoryTag::kKv, mode.needs.kv + mode.decode.notes);
  set(MemoryTag::kState, mode.needs.state + mode.decode.state);
  set(MemoryTag::kPrefix, mode.prefix_bytes);
  set(MemoryTag::kScratch, mode.needs.scratch + mode.decode.scratch);
  set(MemoryTag::kStaging, staging);
  set(MemoryTag::kDraft, mode.decode.draft);
  set(MemoryTag::kRequests, sizing.request_bytes);
}

Result<ModeReport> Stacked(const CheckReport& r, const Sizing& sizing) {
  ModeReport mode{.mode = "stacked"};
  mode.needs = r.needs;
  mode.expert_format = r.expert_format;
  mode.expert_bytes = r.needs.expert_record;
  const size_t experts = r.needs.all_experts();
  MACH_RETURN_IF_ERROR(sizing.Size(/*streaming=*/false, experts, mode));
  mode.bytes = mode.needs.resident() + experts;
  if (mode.bytes > r.ceiling) {
    mode.reason = "all experts in memory take " + BytesText(mode.bytes) + ", " +
                  BytesText(mode.bytes - r.ceiling) + " more than the ceiling";
    return mode;
  }
  mode.prefix_bytes = residency::DefaultPrefixBytes(mode.needs, experts, r.ceiling);
  SetMemory(sizing, experts, 0, mode);
  const double left = 1 - static_cast<double>(mode.bytes) / static_cast<double>(r.ceiling);
  mode.verdict = left < kHeadroom ? Verdict::kTight : Verdict::kFits;
  mode.reason = "all experts in memory; " + BytesText(r.ceiling - mode.bytes) + " are left";
  return mode;
}

// A mode whose experts are on disk.
Result<ModeReport> Streaming(const CheckReport& r, const Sizing& sizing,
                             const residency::ExpertsOnDisk& disk,
                             const residency::ExpertOptions& asked) {
  const model::ModelConfig& config = sizing.headers.config;
  ModeReport mode{.mode = asked.from_checkpoint ? "bf16_streaming" : "streaming"};
  if (disk.slices != nullptr) {
    mode.slow_paths.emplace_back(asked.from_checkpoint ? "bf16_streaming" : "checkpoint_experts");
  }
  residency::MemoryNeeds& n = mode.needs;
  n = r.needs;
  if (Status used = residency::UseExperts(disk, config, asked, n); !used) {
    mode.reason = used.error().message;
    return mode;
  }
  MACH_RETURN_IF_ERROR(sizing.Size(/*streaming=*/true, n.least_bank, mode));
  mode.expert_format = residency::FormatName(disk.layout.gate);
  mode.expert_bytes = n.expert_record;
  n.prefix = residency::DefaultPrefixBytes(n, n.least_bank, r.ceiling);
  const auto fit = residency::FitBank(disk, config, n, r.ceiling, asked);
  if (!fit) {
    mode.bytes = n.resident() - n.prefix + n.least_bank;
    mode.reason = "the least is " + BytesText(mode.bytes) + ": " +
                  BytesText(n.resident() - n.prefix) + " resident and a bank of " +
                  std::to_string(n.floor_slots) + " experts, what one token uses";
    return mode;
  }
  mode.prefix_bytes = n.prefix;
  mode.bank_slots = fit->plan.bank_slots;
  mode.bytes = n.resident() + fit->plan.bank_bytes + fit->staging_bytes();
  SetMemory(sizing, fit->plan.bank_bytes, fit->staging_bytes(), mode);
  mode.bank_share = static_cast<double>(mode.bank_slots) / static_cast<double>(n.expert_count);
  mode.hit_rate = experts::EstimateHitRate(
      n.experts, static_cast<double>(mode.bank_slots) / static_cast<double>(n.moe_layers));
  mode.verdict = mode.hit_rate < kLowHitRate ? Verdict::kTight : Verdict::kFits;
  mode.reason = "a bank of " + std::to_string(mode.bank_slots) + " of " +
                std::to_string(n.expert_count) + " experts (" + Percent(mode.bank_share) +
                "); about " + Percent(mode.hit_rate) + " of requests would hit it (an estimate)";
  return mode;
}

// With the sidecar that is there, or else as if one kept the checkpoint's format.
Result<ModeReport> SidecarMode(io::FileSystem& fs, const CheckOptions& options,
                               const Sizing& sizing, CheckReport& r) {
  const residency::Headers& headers = sizing.headers;
  residency::ExpertOptions asked;
  asked.directory = options.sidecar_dir;
  asked.allow_slow = options.allow_fallback;
  if (r.needs.expert_count == 0) {
    return ModeReport{
        .mode = "streaming",
        .reason = "the model has no routed experts to stream; it runs with --no-streaming"};
  }
  auto disk = residency::FindExpertsOnDisk(fs, headers.config, headers.source, asked);
  r.sidecar_problem = disk ? disk->sidecar_problem : disk.error().message;
  return Streaming(
      r, sizing,
      disk ? *disk : residency::ImagineExpertsOnDisk(headers.config, r.needs.expert_layout), asked);
}

Result<ModeReport> CheckpointMode(io::FileSystem& fs, const CheckReport& r, const Sizing& sizing) {
  residency::ExpertOptions asked;
  asked.from_checkpoint = true;
  const auto disk =
      residency::FindExpertsOnDisk(fs, sizing.headers.config, sizing.headers.source, asked);
  if (disk) return Streaming(r, sizing, *disk, asked);
  return ModeReport{.mode = "bf16_streaming", .reason = disk.error().message};
}

json::Array TextsJson(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.push_back(text);
  return array;
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  constexpr std::array<std::string_view, 3> kNames = {"fits", "tight", "wont_fit"};
  return kNames[static_cast<size_t>(verdict)];
}

Verdict CheckReport::verdict() const {
  Verdict best = Verdict::kWontFit;
  for (const ModeReport& mode : modes) best = std::min(best, mode.verdict);
  return best;
}

CheckOptions CheckOptionsOf(const ModelOptions& model, const DraftOptions& draft,
                            size_t free_bytes) {
  CheckOptions check;
  check.checkpoint = model.checkpoint;
  if (model.wired_gb) check.wired_bytes = BytesOfGigabytes(*model.wired_gb);
  check.ctx_size = model.ctx_size;
  check.threads = model.threads;
  check.chunk = model.chunk;
  check.sidecar_dir = model.sidecar_dir;
  check.draft = draft;
  check.request_bytes = model.request_bytes;
  check.compute_f32 = model.compute_f32;
  check.allow_fallback = model.allow_fallback;
  check.free_bytes = free_bytes;
  return check;
}

Result<CheckReport> CheckCheckpoint(io::FileSystem& fs, const CheckOptions& options) {
  CheckReport report;
  report.checkpoint = options.checkpoint;
  report.request_bytes = options.request_bytes;
  MACH_TRY(const auto headers, residency::Headers::Open(fs, options.checkpoint));
  const model::ModelConfig& config = headers.config;
  if (Status possible = residency::CheckContext(config, options.ctx_size); !possible) {
    return std::move(possible).error().In(options.checkpoint);
  }

  const SystemClock clock;
  if (const auto codec = LoadCodec(*headers.checkpoint, clock); !codec) {
    report.text_problem = codec.error().message;
  } else if (const auto defaults = engine::ReadModelDefaults(
                 headers.checkpoint->config(), headers.checkpoint->generation_config(),
                 (*codec)->end_tokens(), config.vocab);
             !defaults) {
    report.text_problem = defaults.error().message;
  }
  report.architecture = config.architecture;
  report.layers = config.layers.size();
  report.free_bytes = options.free_bytes;
  MACH_TRY(const size_t ceiling, residency::ChooseCeiling(std::nullopt, options.free_bytes));
  report.ceiling = std::min(options.wired_bytes.value_or(ceiling), options.free_bytes);
  auto needs = residency::MeasureTensors(config, headers.source);
  if (!needs) return std::move(needs).error().In(options.checkpoint);
  report.needs = *std::move(needs);
  const spec::DraftModelOptions draft = FindDraft(
      fs, {.checkpoint = options.checkpoint, .compute_f32 = options.compute_f32}, options.draft);
  std::optional<spec::DraftModel::Needs> drafter;
  report.drafter = draft.directory;
  if (!report.drafter.empty()) {
    auto paired = spec::DraftModel::Measure(fs, draft, config);
    if (paired) {
      drafter = *std::move(paired);
    } else {
      report.drafter_problem = paired.error().message;
    }
  }
  if (report.needs.expert_count != 0) {
    report.expert_format = residency::FormatName(report.needs.expert_layout.gate);
  }
  const Sizing sizing{
      .headers = headers,
      .options = {.max_rows = options.chunk,
                  .threads = options.threads != 0 ? options.threads : AvailableCpus(),
                  .kv_f16 = !options.compute_f32},
      .ctx_size = options.ctx_size,
      .drafter = drafter,
      .ceiling = report.ceiling,
      .request_bytes = options.request_bytes};
  MACH_TRY(ModeReport streaming, SidecarMode(fs, options, sizing, report));
  MACH_TRY(ModeReport stacked, Stacked(report, sizing));
  // The numbers of the whole are those of the mode that a user would choose.
  const ModeReport& shown =
      stacked.verdict == Verdict::kWontFit && streaming.bytes != 0 ? streaming : stacked;
  report.context_tokens = shown.context_tokens;
  report.decode = shown.decode;
  report.needs.context_tokens = shown.context_tokens;
  report.needs.state = shown.needs.state;
  report.needs.kv = shown.needs.kv;
  report.needs.scratch = shown.needs.scratch;
  report.needs.decode = shown.needs.decode;
  report.modes = {std::move(streaming), std::move(stacked)};
  if (report.needs.expert_count != 0) {
    MACH_TRY(ModeReport checkpoint, CheckpointMode(fs, report, sizing));
    report.modes.push_back(std::move(checkpoint));
  }
  if (options.compute_f32) {
    for (ModeReport& mode : report.modes) mode.slow_paths.emplace_back("f32_compute");
  }
  return report;
}

json::Value ToJson(const CheckReport& r) {
  const residency::MemoryNeeds& n = r.needs;
  const auto number = [](size_t x) { return static_cast<int64_t>(x); };
  json::Object modes;
  for (const ModeReport& mode : r.modes) {
    json::Object one = {{"verdict", VerdictName(mode.verdict)},
                        {"reason", mode.reason},
                        {"profile", mode.slow_paths.empty() ? "production" : "diagnostic"},
                        {"slow_paths", TextsJson(mode.slow_paths)},
                        {"bytes", number(mode.bytes)},
                        {"context_tokens", number(mode.context_tokens)},
                        {"prefix_bytes", number(mode.prefix_bytes)}};
    if (mode.expert_bytes != 0) {
      one.Set("expert_format", mode.expert_format);
      one.Set("expert_bytes_each", number(mode.expert_bytes));
    }
    if (mode.verdict != Verdict::kWontFit) {
      json::Object memory;
      for (size_t tag = 0; tag < kMemoryTags; ++tag) {
        memory.Set(MemoryTagName(static_cast<MemoryTag>(tag)), number(mode.memory[tag]));
      }
      one.Set("memory", std::move(memory));
    }
    if (mode.bank_slots != 0) {
      one.Set("bank_slots", number(mode.bank_slots));
      one.Set("bank_share", mode.bank_share);
      one.Set("estimated_hit_rate", mode.hit_rate);
    }
    modes.Set(mode.mode, std::move(one));
  }
  return json::Object{
      {"checkpoint", r.checkpoint},
      {"verdict", VerdictName(r.verdict())},
      {"architecture", r.architecture},
      {"layers", number(r.layers)},
      {"context_tokens", number(r.context_tokens)},
      {"free_bytes", number(r.free_bytes)},
      {"wired_bytes", number(r.ceiling)},
      {"memory", json::Object{{"weights", number(n.weights)},
                              {"state", number(n.state)},
                              {"kv", number(n.kv)},
                              {"scratch", number(n.scratch)},
                              {"decode", number(r.decode.total())},
                              {"requests", number(r.request_bytes)}}},
      {"drafter", json::Object{{"directory", r.drafter}, {"problem", r.drafter_problem}}},
      {"experts", json::Object{{"layers", number(n.moe_layers)},
                               {"per_layer", number(n.experts)},
                               {"format", r.expert_format},
                               {"bytes_each", number(n.expert_record)},
                               {"bytes_all", number(n.all_experts())},
                               {"floor_slots", number(n.floor_slots)},
                               {"floor_bytes", number(n.floor_slots * n.expert_record)}}},
      {"sidecar_problem", r.sidecar_problem},
      {"text_problem", r.text_problem},
      {"loadable", r.loadable()},
      {"residency", std::move(modes)},
      {"continuous_batching", false},
  };
}

std::string ToText(const CheckReport& r) {
  const residency::MemoryNeeds& n = r.needs;
  std::string out =
      r.checkpoint + ": " +
      (r.loadable() ? std::string(VerdictName(r.verdict())) : "cannot be served as it is") + "\n";
  const auto line = [&](std::string_view key, const std::string& value) {
    out += "  " + std::string(key) + std::string(16 - key.size(), ' ') + value + "\n";
  };
  line("architecture", r.architecture + ", " + std::to_string(r.layers) + " layers, context " +
                           std::to_string(r.context_tokens));
  line("memory",
       BytesText(r.free_bytes) + " free, ceiling " + BytesText(r.ceiling) + " (--wired-gb)");
  line("resident", BytesText(n.resident()) + ": weights " + BytesText(n.weights) +
                       ", key-value cache " + BytesText(n.kv) + ", recurrent state " +
                       BytesText(n.state) + ", scratch " + BytesText(n.scratch) + ", decoding " +
                       BytesText(r.decode.total()) + ", requests " + BytesText(r.request_bytes));
  line("text", r.text_problem.empty() ? "the tokenizer and the chat template work"
                                      : "cannot be served: " + r.text_problem);
  line("drafter", r.drafter.empty()           ? "none beside the model: one token at a time"
                  : r.drafter_problem.empty() ? r.drafter + ", pairs with the model"
                                              : "does not pair: " + r.drafter_problem);
  if (n.expert_count != 0) {
    line("experts", std::to_string(n.moe_layers) + " layers of " + std::to_string(n.experts) +
                        ", " + r.expert_format + ", " + BytesText(n.expert_record) + " each, all " +
                        BytesText(n.all_experts()));
    line("smallest bank", std::to_string(n.floor_slots) + " experts, " +
                              BytesText(n.floor_slots * n.expert_record) + ": what one token uses");
  }
  if (n.expert_count != 0) {
    line("sidecar", r.sidecar_problem.empty() ? r.modes[0].expert_format + ", " +
                                                    BytesText(r.modes[0].expert_bytes) + " each"
                                              : r.sidecar_problem);
  }
  for (const ModeReport& mode : r.modes) {
    const std::string context =
        mode.context_tokens == r.context_tokens || mode.verdict == Verdict::kWontFit
            ? ""
            : "; context " + std::to_string(mode.context_tokens);
    const std::string prefix =
        context + (mode.prefix_bytes == 0 ? "" : "; prefix cache " + BytesText(mode.prefix_bytes));
    std::string slow;
    for (const std::string& path : mode.slow_paths) slow += ", " + path;
    if (!slow.empty()) slow = "; a slow path (profile=diagnostic" + slow + ")";
    line(mode.mode, std::string(VerdictName(mode.verdict)) + ": " + mode.reason + prefix + slow);
  }
  line("batching", "one request at a time; the others wait in a queue");
  return out;
}

}  // namespace mach::cli
