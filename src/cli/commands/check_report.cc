#include "cli/commands/check_report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/clock.h"
#include "base/units.h"
#include "cli/commands/open_options.h"
#include "engine/load_codec.h"
#include "engine/model_defaults.h"
#include "experts/hit_rate.h"
#include "model/config.h"
#include "ops/context.h"
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

// Plans a mode, whose experts stream from `disk` where it is not null.
Result<engine::MemoryPlan> PlanMode(const CheckReport& r, const engine::PlanInputs& inputs,
                                    const residency::ExpertsOnDisk* disk,
                                    const engine::OpenOptions& open, ModeReport& mode) {
  MACH_TRY(engine::MemoryPlan plan, engine::Plan(inputs, disk, open));
  mode.needs = plan.model.needs;
  mode.context_tokens = plan.model.pass.context_tokens;
  mode.decode = plan.decode;
  mode.prefix_bytes = plan.prefix_bytes;
  mode.memory = plan.memory;
  mode.expert_format = disk == nullptr ? r.expert_format : residency::FormatName(disk->layout.gate);
  mode.expert_bytes = plan.model.needs.expert_record;
  return plan;
}

Result<ModeReport> Stacked(const CheckReport& r, const engine::PlanInputs& inputs,
                           engine::OpenOptions open) {
  ModeReport mode{.mode = "stacked"};
  open.experts.reset();
  MACH_RETURN_IF_ERROR(PlanMode(r, inputs, nullptr, open, mode));
  mode.bytes = mode.needs.resident() + mode.needs.all_experts();
  if (mode.bytes > r.ceiling) {
    mode.reason = "all experts in memory take " + BytesText(mode.bytes) + ", " +
                  BytesText(mode.bytes - r.ceiling) + " more than the ceiling";
    return mode;
  }
  const double left = 1 - static_cast<double>(mode.bytes) / static_cast<double>(r.ceiling);
  mode.verdict = left < kHeadroom ? Verdict::kTight : Verdict::kFits;
  mode.reason = "all experts in memory; " + BytesText(r.ceiling - mode.bytes) + " are left";
  return mode;
}

// A mode whose experts are on disk, as open.experts asks for.
ModeReport Streaming(const CheckReport& r, const engine::PlanInputs& inputs,
                     const residency::ExpertsOnDisk& disk, const engine::OpenOptions& open) {
  const bool from_checkpoint = open.experts->from_checkpoint;
  ModeReport mode{.mode = from_checkpoint ? "bf16_streaming" : "streaming"};
  if (disk.slices != nullptr) {
    mode.slow_paths.emplace_back(from_checkpoint ? "bf16_streaming" : "checkpoint_experts");
  }
  mode.needs = r.needs;
  const auto plan = PlanMode(r, inputs, &disk, open, mode);
  if (!plan) {
    mode.reason = plan.error().message;
    return mode;
  }
  const residency::MemoryNeeds& n = mode.needs;
  if (!plan->model.bank) {
    mode.bytes = n.resident() - n.prefix + n.least_bank;
    mode.reason = "the least is " + BytesText(mode.bytes) + ": " +
                  BytesText(n.resident() - n.prefix) + " resident and a bank of " +
                  std::to_string(n.floor_slots) + " experts, what one token uses";
    return mode;
  }
  const residency::BankFit& bank = *plan->model.bank;
  mode.bank_slots = bank.plan.bank_slots;
  mode.bytes = n.resident() + bank.plan.bank_bytes + bank.staging_bytes();
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
ModeReport SidecarMode(io::FileSystem& fs, const CheckOptions& options,
                       const engine::PlanInputs& inputs, CheckReport& r) {
  const residency::Headers& headers = *inputs.headers;
  engine::OpenOptions open = options.open;
  residency::ExpertOptions& asked = open.experts.emplace();
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
      r, inputs,
      disk ? *disk : residency::ImagineExpertsOnDisk(headers.config, r.needs.expert_layout), open);
}

ModeReport CheckpointMode(io::FileSystem& fs, const CheckOptions& options,
                          const engine::PlanInputs& inputs, const CheckReport& r) {
  engine::OpenOptions open = options.open;
  open.experts.emplace().from_checkpoint = true;
  const auto disk = residency::FindExpertsOnDisk(fs, inputs.headers->config, inputs.headers->source,
                                                 *open.experts);
  if (disk) return Streaming(r, inputs, *disk, open);
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
  CheckOptions check{.open = PlanOptionsFrom(model, draft)};
  check.open.prefix.emplace();
  check.sidecar_dir = model.sidecar_dir;
  check.allow_fallback = model.allow_fallback;
  check.free_bytes = free_bytes;
  return check;
}

Result<CheckReport> CheckCheckpoint(io::FileSystem& fs, const CheckOptions& options) {
  const engine::OpenOptions& open = options.open;
  CheckReport report;
  report.checkpoint = open.checkpoint;
  report.request_bytes = open.request_bytes;
  MACH_TRY(const auto headers, residency::Headers::Open(fs, open.checkpoint));
  const model::ModelConfig& config = headers.config;
  if (Status possible = residency::CheckContext(config, open.context_tokens); !possible) {
    return std::move(possible).error().In(open.checkpoint);
  }

  const SystemClock clock;
  if (const auto codec = engine::LoadCodec(*headers.checkpoint, clock); !codec) {
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
  report.ceiling = std::min(open.memory_bytes.value_or(ceiling), options.free_bytes);
  auto needs = residency::MeasureTensors(config, headers.source);
  if (!needs) return std::move(needs).error().In(open.checkpoint);
  report.needs = *std::move(needs);
  engine::PlanInputs inputs{.headers = &headers,
                            .tensors = report.needs,
                            .ceiling = report.ceiling,
                            .free = options.free_bytes};
  const spec::DraftModelOptions draft = engine::FindDraft(fs, open);
  report.drafter = draft.directory;
  if (!report.drafter.empty()) {
    auto paired = spec::DraftModel::Measure(fs, draft, config);
    if (paired) {
      inputs.draft = *std::move(paired);
    } else {
      report.drafter_problem = paired.error().message;
    }
  }
  if (report.needs.expert_count != 0) {
    report.expert_format = residency::FormatName(report.needs.expert_layout.gate);
  }
  ModeReport streaming = SidecarMode(fs, options, inputs, report);
  MACH_TRY(ModeReport stacked, Stacked(report, inputs, open));
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
    report.modes.push_back(CheckpointMode(fs, options, inputs, report));
  }
  if (open.compute == ops::Compute::kF32) {
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
