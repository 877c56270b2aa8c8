#include "cli/commands/load_model.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "base/topology.h"
#include "base/units.h"
#include "cli/commands/serving_facts.h"
#include "cli/commands/thread_advice.h"
#include "cli/load_codec.h"
#include "engine/local_engine.h"
#include "engine/model_defaults.h"
#include "io/file.h"
#include "io/model_name.h"
#include "io/writable.h"
#include "residency/headers.h"
#include "residency/loaded_model.h"
#include "spec/block_policy.h"
#include "spec/draft_model.h"
#include "spec/memory.h"

namespace mach::cli {
namespace {

// The directory's name: "models/mach-tiny/" is served as "mach-tiny".
// decode_bytes: that will be reserved besides keys and values. planned: by the plan of a streaming
// load, or asked for. machine_free: the highest ceiling there can be. Nothing where the default
// finds no room.
Result<std::optional<cache::PrefixCacheOptions>> PrefixCacheFor(
    const PrefixOptions& options, residency::LoadedModel& model, size_t decode_bytes,
    std::optional<size_t> planned, size_t machine_free,
    std::shared_ptr<const dialog::Codec> codec) {
  const cache::StateShape shape = model.StateShape();
  const size_t kv = RoundUp(model.context_tokens(), cache::kBlockTokens) / cache::kBlockTokens *
                    shape.BlockBytes();
  const size_t taken = decode_bytes + kv + shape.RecurrentBytes();
  const size_t free = model.ledger().free();
  const size_t room = free - std::min(free, taken);
  if (options.max_gb && *planned > room) {
    const size_t higher = model.ledger().limit() + (*planned - room);
    return Error{
        Code::kNoMemory,
        "--prefix-cache-max-gb asks for " + BytesText(*planned) +
            ", but the ceiling (--wired-gb) leaves " + BytesText(room) + "; lower it to at most " +
            GigabytesDown(room) +
            (higher <= machine_free ? ", or raise --wired-gb to at least " + GigabytesUp(higher)
                                    : "")};
  }
  const size_t bytes =
      planned ? std::min(*planned, room) : residency::DefaultPrefixBytes({}, taken, free);
  // The state of one prompt, at least.
  if (bytes < shape.RecurrentBytes() + 2 * shape.BlockBytes()) {
    LogWarning("the ceiling (--wired-gb) leaves no memory for the prefix cache; it is off");
    return std::optional<cache::PrefixCacheOptions>();
  }
  cache::PrefixCacheOptions cache;
  cache.max_entries = options.max_entries;
  cache.max_bytes = bytes;
  cache.block_tokens = options.block_size;
  cache.append_text = [codec = std::move(codec)](TokenId token, std::string& text) {
    text += codec->TokenBytes(token);
  };
  if (!options.disk_directory.empty()) {
    cache.disk.emplace();
    cache.disk->directory = options.disk_directory;
    cache.disk->budget_bytes = BytesOfGigabytes(options.disk_budget_gb);
    if (options.disk_lru) cache.disk->eviction = cache::DiskEviction::kLru;
  }
  return std::optional(std::move(cache));
}

// What small files and directories tell, before gigabytes are read.
Result<std::shared_ptr<const dialog::Codec>> CheckBeforeLoad(const ServingOptions& serving,
                                                             const spec::DraftModelOptions& drafter,
                                                             const Clock& clock) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const auto headers, residency::Headers::Open(fs, serving.model.checkpoint));
  MACH_TRY(auto codec, LoadCodec(*headers.checkpoint, clock));
  if (auto defaults = engine::ReadModelDefaults(headers.checkpoint->config(),
                                                headers.checkpoint->generation_config(),
                                                codec->end_tokens(), headers.config.vocab);
      !defaults) {
    return std::move(defaults).error().In(serving.model.checkpoint);
  }
  if (!drafter.directory.empty()) {
    MACH_RETURN_IF_ERROR(spec::DraftModel::Measure(fs, drafter, headers.config));
  }
  if (serving.prefix.enabled && !serving.prefix.disk_directory.empty()) {
    if (Status writable = io::CheckWritable(serving.prefix.disk_directory); !writable) {
      return std::move(writable).error().In("--disk-kv-dir");
    }
  }
  return codec;
}

}  // namespace

spec::DraftModelOptions FindDraft(io::FileSystem& fs, const ModelOptions& options,
                                  const DraftOptions& draft) {
  spec::DraftModelOptions found;
  if (draft.target_only) return found;
  found.directory = draft.directory;
  if (found.directory.empty()) {
    found.directory = spec::DraftModel::Find(fs, options.checkpoint);
  }
  if (draft.bits == "4") found.bits = 4;
  if (draft.bits == "8" || (draft.bits == "auto" && !options.compute_f32)) found.bits = 8;
  return found;
}

residency::DirectReads DirectReadsOf(std::string_view choice) {
  if (choice == "io_uring") return residency::DirectReads::kIoUring;
  if (choice == "pread") return residency::DirectReads::kPread;
  return choice == "off" ? residency::DirectReads::kOff : residency::DirectReads::kAuto;
}

Result<residency::LoadOptions> ToLoadOptions(const ModelOptions& options) {
  residency::LoadOptions load;
  const std::string slow = TooManyThreads("--threads", options.threads, AvailableCpus());
  if (!slow.empty()) LogWarning(slow);
  load.checkpoint = options.checkpoint;
  load.context_tokens = options.ctx_size;
  load.threads = options.threads;
  load.measure_threads = true;
  load.max_rows = options.chunk;
  load.isa = options.isa == "auto" ? std::nullopt : kernels::IsaFromName(options.isa);
  load.compute = options.compute_f32 ? ops::Compute::kF32 : ops::Compute::kInt8;
  std::optional<size_t> wired;
  if (options.wired_gb) wired = BytesOfGigabytes(*options.wired_gb);
  MACH_TRY(const size_t free, FreeMemoryBytes());
  MACH_TRY(load.memory_limit, residency::ChooseCeiling(wired, free));
  load.free_memory = free;
  if (!options.streaming) {
    if (!options.bf16_streaming) return load;
    return Error{Code::kInvalidArgument,
                 "--bf16-streaming (LME_BF16_STACKED_STREAMING) says how experts stream; give "
                 "--streaming beside it, or neither"};
  }
  if (options.bf16_streaming && !options.sidecar_dir.empty()) {
    return Error{Code::kInvalidArgument,
                 "--bf16-streaming reads the experts of the checkpoint and --sidecar-dir names a "
                 "sidecar; give one of them"};
  }

  residency::ExpertOptions& sidecar = load.sidecar.emplace();
  sidecar.directory = options.sidecar_dir;
  sidecar.from_checkpoint = options.bf16_streaming;
  if (options.expert_cache_gb) sidecar.bank_bytes = BytesOfGigabytes(*options.expert_cache_gb);
  sidecar.eviction = *experts::EvictionFromName(options.eviction);
  sidecar.pin_hot = options.pin_hot;
  sidecar.transient_prefill = options.transient_prefill;
  sidecar.allow_slow = options.allow_fallback;
  sidecar.reads = DirectReadsOf(options.direct_pread);
  return load;
}

Result<ServingModel> LoadServingModel(const ServingOptions& serving,
                                      const model::LoadProgress& progress, const Clock& clock) {
  const ModelOptions& options = serving.model;
  const DraftOptions& draft = serving.draft;
  MACH_TRY(const spec::PolicyOptions policy, spec::ParsePolicy(draft.block_policy));
  MACH_TRY(residency::LoadOptions load, ToLoadOptions(options));
  const spec::DraftModelOptions drafter = FindDraft(io::PosixFileSystem(), options, draft);
  std::optional<spec::DraftModel::Needs> draft_needs;  // measured once, by the first who asks
  const auto decode_needs = [&](const model::ModelConfig& target,
                                const residency::PlanOptions& plan) -> Result<spec::DecodeNeeds> {
    if (!drafter.directory.empty() && !draft_needs) {
      MACH_TRY(draft_needs, spec::DraftModel::Measure(io::PosixFileSystem(), drafter, target));
    }
    return spec::MeasureDecode(target, plan, draft_needs, serving.prefix.enabled);
  };
  // The drafter is loaded after the model; the two are one piece of work to whoever waits.
  const auto draft_bytes = [&] { return draft_needs ? uint64_t{draft_needs->weights} : 0; };
  uint64_t model_bytes = 0;
  load.progress = [&](uint64_t done, uint64_t total) {
    model_bytes = total;
    return !progress || progress(done, total + draft_bytes());
  };
  load.later_needs = [&](const model::ModelConfig& target,
                         const residency::PlanOptions& plan) -> Result<size_t> {
    MACH_TRY(const spec::DecodeNeeds needs, decode_needs(target, plan));
    return needs.total() + options.request_bytes;
  };
  std::optional<size_t> prefix_bytes;
  if (serving.prefix.max_gb) prefix_bytes = BytesOfGigabytes(*serving.prefix.max_gb);
  load.prefix_asked = prefix_bytes.value_or(0);
  if (serving.prefix.enabled) {
    load.prefix_bytes = [&](const residency::MemoryNeeds& needs) {
      if (!prefix_bytes) {
        prefix_bytes = residency::DefaultPrefixBytes(needs, needs.least_bank, load.memory_limit);
      }
      return *prefix_bytes;
    };
  }
  ServingModel model;
  MACH_TRY(model.codec, CheckBeforeLoad(serving, drafter, clock));
  MACH_TRY(auto loaded, residency::LoadedModel::Load(io::PosixFileSystem(), load));

  engine::DecoderOptions decoder{.policy = policy};
  model.isa = kernels::IsaName(loaded->kernels().isa);
  model.compute = options.compute_f32 ? "f32" : "int8";
  model.threads = loaded->threads();
  if (!loaded->thread_choice().timings.empty()) {
    LogInfo(residency::ToText(loaded->thread_choice(), loaded->pool().threads()) +
            "; --threads N sets the number");
  }
  model.facts = FactsOf(options, *loaded);
  WarnOfSlowPaths(*loaded);
  if (const experts::StreamingStore* store = loaded->streaming()) {
    model.bank_slots = store->plan().bank_slots;
    model.floor_slots = store->plan().floor_slots;
  } else {
    for (const model::LayerConfig& layer : loaded->config().layers) {
      const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn);
      if (moe != nullptr) model.bank_slots += moe->experts;
    }
    model.floor_slots = model.bank_slots;
  }
  MACH_RETURN_IF_ERROR(loaded->Reserve(MemoryTag::kRequests, options.request_bytes));
  MACH_TRY(const spec::DecodeNeeds decode, decode_needs(loaded->config(), loaded->plan()));
  if (serving.prefix.enabled) {
    MACH_TRY(decoder.prefix_cache, PrefixCacheFor(serving.prefix, *loaded, decode.total(),
                                                  prefix_bytes, load.free_memory, model.codec));
  }
  if (!drafter.directory.empty()) {
    MACH_TRY(decoder.draft,
             spec::DraftModel::Load(io::PosixFileSystem(), drafter, loaded->config(),
                                    loaded->ledger(), [&](uint64_t done, uint64_t total) {
                                      return !progress ||
                                             progress(model_bytes + done, model_bytes + total);
                                    }));
    model.draft = decoder.draft->directory();
    model.block_policy = spec::PolicyName(decoder.policy);
    model.block_size = std::min(decoder.draft->config().block_size, spec::kMaxBlock);
  }
  residency::LoadedModel& kept = *loaded;
  MACH_TRY(model.engine, engine::MakeLocalEngine(std::move(loaded),
                                                 {.model_id = io::ModelName(options.checkpoint),
                                                  .stop_tokens = model.codec->end_tokens(),
                                                  .max_queue = serving.max_queue,
                                                  .decoder = std::move(decoder)}));
  if (model.engine->info().stop_tokens.empty()) {
    LogWarning(
        options.checkpoint +
        ": no file names the token that ends an answer (\"eos_token_id\" of "
        "generation_config.json or config.json, \"eos_token\" of tokenizer_config.json, each "
        "with a token of the vocabulary); answers run to their limit or a stop string: add "
        "\"eos_token_id\" to generation_config.json");
  }
  // After the engine has its state, of which blocks and tape come as a text needs them.
  model.facts.wired_bytes = kept.ledger().limit();
  const cache::StateShape shape = kept.StateShape();
  for (size_t tag = 0; tag < kMemoryTags; ++tag) {
    const auto name = static_cast<MemoryTag>(tag);
    size_t bytes = kept.ledger().reserved(name);
    if (name == MemoryTag::kKv) {
      bytes = RoundUp(kept.context_tokens(), cache::kBlockTokens) / cache::kBlockTokens *
                  shape.BlockBytes() +
              decode.notes;
    }
    if (name == MemoryTag::kState) bytes = shape.RecurrentBytes() + decode.state;
    model.facts.memory.emplace_back(MemoryTagName(name), bytes);
  }
  return model;
}

}  // namespace mach::cli
