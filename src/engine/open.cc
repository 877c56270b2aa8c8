#include "engine/open.h"

#include <algorithm>

#include "base/log.h"
#include "base/topology.h"
#include "base/units.h"
#include "engine/load_codec.h"
#include "engine/local_engine.h"
#include "engine/model_defaults.h"
#include "engine/plan.h"
#include "experts/streaming_store.h"
#include "io/model_name.h"
#include "io/writable.h"
#include "model/weights.h"

namespace mach::engine {
namespace {

// What is known before gigabytes are read.
struct Prepared {
  std::optional<residency::ExpertsOnDisk> disk;
  MemoryPlan plan;
  size_t ceiling = 0;
  size_t free = 0;
};

Result<size_t> CeilingOf(const OpenOptions& options, size_t free) {
  return residency::ChooseCeiling(options.memory_bytes, free);
}

// Measures and plans an opened checkpoint. alone: without an engine's needs.
Status MakePlan(io::FileSystem& fs, const residency::Headers& headers, const OpenOptions& options,
                const std::optional<spec::DraftModel::Needs>& draft, bool alone,
                Prepared& prepared) {
  const auto plan = [&]() -> Status {
    PlanInputs inputs{
        .headers = &headers, .draft = draft, .ceiling = prepared.ceiling, .free = prepared.free};
    MACH_TRY(inputs.tensors, residency::MeasureTensors(headers.config, headers.source));
    if (options.experts) {
      MACH_TRY(prepared.disk,
               residency::FindExpertsOnDisk(fs, headers.config, headers.source, *options.experts));
    }
    const residency::ExpertsOnDisk* disk = prepared.disk ? &*prepared.disk : nullptr;
    MACH_TRY(prepared.plan, alone ? PlanModel(inputs, disk, options) : Plan(inputs, disk, options));
    return Ok();
  };
  if (Status planned = plan(); !planned) {
    return std::move(planned).error().In(options.checkpoint);
  }
  return Ok();
}

void WarnOfSlowPaths(const residency::LoadedModel& model) {
  if (model.streaming() != nullptr && !model.direct_reads()) {
    LogWarning(
        "diagnostic fallback: experts are read through the page cache, which is slow and takes "
        "memory beyond the ceiling");
  }
  if (!model.sidecar_problem().empty()) {
    LogWarning(
        "diagnostic fallback: experts are read from the checkpoint's own tensors, which is slow "
        "and has no checksums, for want of a sidecar: " +
        model.sidecar_problem());
  }
}

Result<std::unique_ptr<residency::LoadedModel>> Load(io::FileSystem& fs, residency::Headers headers,
                                                     Prepared prepared, const OpenOptions& options,
                                                     const model::LoadProgress& progress,
                                                     const Clock* clock) {
  return residency::LoadedModel::Load(fs, std::move(headers), prepared.plan.model,
                                      std::move(prepared.disk),
                                      {.checkpoint = options.checkpoint,
                                       .threads = options.threads,
                                       .measure_threads = true,
                                       .isa = options.isa,
                                       .compute = options.compute,
                                       .memory_limit = prepared.ceiling,
                                       .progress = progress,
                                       .experts = options.experts,
                                       .clock = clock});
}

// What small files and directories tell.
Result<std::shared_ptr<const dialog::Codec>> CheckFiles(const residency::Headers& headers,
                                                        const OpenOptions& options,
                                                        const Clock& clock) {
  MACH_TRY(auto codec, LoadCodec(*headers.checkpoint, clock));
  if (auto defaults =
          ReadModelDefaults(headers.checkpoint->config(), headers.checkpoint->generation_config(),
                            codec->end_tokens(), headers.config.vocab);
      !defaults) {
    return std::move(defaults).error().In(options.checkpoint);
  }
  return codec;
}

// The prefix cache of a loaded model, which has what the plan gives it as far as the ledger has it.
// Nothing where there is no room for one prompt.
Result<std::optional<cache::PrefixCacheOptions>> PrefixCacheFor(
    const PrefixOptions& options, const residency::LoadedModel& model, const MemoryPlan& plan,
    bool streams, size_t free_memory, std::shared_ptr<const dialog::Codec> codec) {
  const cache::StateShape shape = model.StateShape();
  const size_t kv = RoundUp(model.context_tokens(), cache::kBlockTokens) / cache::kBlockTokens *
                    shape.BlockBytes();
  const size_t taken = plan.decode.total() + kv + shape.RecurrentBytes();
  const size_t free = model.ledger().free();
  const size_t room = free - std::min(free, taken);
  if (options.max_bytes && *options.max_bytes > room) {
    const size_t asked = *options.max_bytes;
    const size_t higher = model.ledger().limit() + (asked - room);
    return Error{
        Code::kNoMemory,
        "--prefix-cache-max-gb asks for " + BytesText(asked) +
            ", but the ceiling (--wired-gb) leaves " + BytesText(room) + "; lower it to at most " +
            GigabytesDown(room) +
            (higher <= free_memory ? ", or raise --wired-gb to at least " + GigabytesUp(higher)
                                   : "")};
  }
  const bool planned = streams || options.max_bytes;
  const size_t bytes =
      planned ? std::min(plan.prefix_bytes, room) : residency::DefaultPrefixBytes({}, taken, free);
  // The state of one prompt, at least.
  if (bytes < shape.RecurrentBytes() + 2 * shape.BlockBytes()) {
    LogWarning("the ceiling (--wired-gb) leaves no memory for the prefix cache; it is off");
    return std::optional<cache::PrefixCacheOptions>();
  }
  cache::PrefixCacheOptions cache;
  cache.max_entries = options.max_entries;
  cache.max_bytes = bytes;
  cache.block_tokens = options.block_tokens;
  cache.append_text = [codec = std::move(codec)](TokenId token, std::string& text) {
    text += codec->TokenBytes(token);
  };
  cache.disk = options.disk;
  return std::optional(std::move(cache));
}

// After the engine has its state, whose blocks and tape come as a text needs them.
std::array<size_t, kMemoryTags> MemoryOf(const residency::LoadedModel& model,
                                         const spec::DecodeNeeds& decode) {
  const cache::StateShape shape = model.StateShape();
  std::array<size_t, kMemoryTags> memory = {};
  for (size_t tag = 0; tag < kMemoryTags; ++tag) {
    memory[tag] = model.ledger().reserved(static_cast<MemoryTag>(tag));
  }
  memory[static_cast<size_t>(MemoryTag::kKv)] =
      RoundUp(model.context_tokens(), cache::kBlockTokens) / cache::kBlockTokens *
          shape.BlockBytes() +
      decode.features;
  memory[static_cast<size_t>(MemoryTag::kState)] = shape.RecurrentBytes() + decode.state;
  return memory;
}

}  // namespace

spec::DraftModelOptions FindDraft(io::FileSystem& fs, const OpenOptions& options) {
  spec::DraftModelOptions found;
  const DraftOptions& draft = options.draft;
  if (!draft.enabled) return found;
  found.directory = draft.directory;
  if (found.directory.empty()) found.directory = spec::DraftModel::Find(fs, options.checkpoint);
  const bool int8 = options.compute == ops::Compute::kInt8;
  if (draft.bits == DraftBits::k4) found.bits = 4;
  if (draft.bits == DraftBits::k8 || (draft.bits == DraftBits::kAuto && int8)) found.bits = 8;
  return found;
}

Result<std::unique_ptr<residency::LoadedModel>> OpenModel(io::FileSystem& fs,
                                                          const OpenOptions& options,
                                                          const model::LoadProgress& progress) {
  Prepared prepared;
  MACH_TRY(prepared.free, FreeMemoryBytes());
  MACH_TRY(prepared.ceiling, CeilingOf(options, prepared.free));
  MACH_TRY(residency::Headers headers, residency::Headers::Open(fs, options.checkpoint));
  MACH_RETURN_IF_ERROR(kernels::SelectKernels(options.isa));
  MACH_RETURN_IF_ERROR(MakePlan(fs, headers, options, std::nullopt, /*alone=*/true, prepared));
  MACH_TRY(auto model, Load(fs, std::move(headers), std::move(prepared), options, progress,
                            /*clock=*/nullptr));
  WarnOfSlowPaths(*model);
  return model;
}

Result<OpenedEngine> Open(io::FileSystem& fs, const OpenOptions& options,
                          const model::LoadProgress& progress, const Clock& clock) {
  const spec::DraftModelOptions draft = FindDraft(fs, options);
  OpenedEngine opened;
  Prepared prepared;
  MACH_TRY(prepared.free, FreeMemoryBytes());
  MACH_TRY(prepared.ceiling, CeilingOf(options, prepared.free));
  MACH_TRY(residency::Headers headers, residency::Headers::Open(fs, options.checkpoint));
  MACH_TRY(opened.codec, CheckFiles(headers, options, clock));
  std::optional<spec::DraftModel::Needs> draft_needs;
  if (!draft.directory.empty()) {
    MACH_TRY(draft_needs, spec::DraftModel::Measure(fs, draft, headers.config));
  }
  if (options.prefix && options.prefix->disk) {
    if (Status writable = io::CheckWritable(options.prefix->disk->directory); !writable) {
      return std::move(writable).error().In("--disk-kv-dir");
    }
  }
  MACH_RETURN_IF_ERROR(kernels::SelectKernels(options.isa));
  MACH_RETURN_IF_ERROR(MakePlan(fs, headers, options, draft_needs, /*alone=*/false, prepared));
  const MemoryPlan plan = prepared.plan;
  const size_t free_memory = prepared.free;
  // The drafter is loaded after the model; the two are one piece of work to whoever waits.
  const uint64_t draft_bytes = draft_needs ? draft_needs->weights : 0;
  uint64_t model_bytes = 0;
  MACH_TRY(auto loaded, Load(
                            fs, std::move(headers), std::move(prepared), options,
                            [&](uint64_t done, uint64_t total) {
                              model_bytes = total;
                              return !progress || progress(done, total + draft_bytes);
                            },
                            &clock));
  if (!loaded->thread_choice().timings.empty()) {
    LogInfo(residency::ToText(loaded->thread_choice(), loaded->pool().threads()) +
            "; --threads N sets the number");
  }
  WarnOfSlowPaths(*loaded);
  if (const experts::StreamingStore* store = loaded->streaming()) {
    opened.bank_slots = store->plan().bank_slots;
    opened.floor_slots = store->plan().floor_slots;
  } else {
    opened.bank_slots = opened.floor_slots = plan.model.needs.expert_count;
  }
  MACH_RETURN_IF_ERROR(loaded->Reserve(MemoryTag::kRequests, options.request_bytes));
  DecoderOptions decoder{.policy = options.draft.policy};
  if (options.prefix) {
    MACH_TRY(decoder.prefix_cache,
             PrefixCacheFor(*options.prefix, *loaded, plan, options.experts.has_value(),
                            free_memory, opened.codec));
  }
  if (!draft.directory.empty()) {
    MACH_TRY(decoder.draft,
             spec::DraftModel::Load(
                 fs, draft, loaded->config(), loaded->ledger(), [&](uint64_t done, uint64_t total) {
                   return !progress || progress(model_bytes + done, model_bytes + total);
                 }));
  }
  opened.draft = decoder.draft;
  opened.model = loaded.get();
  const std::string id =
      options.model_id.empty() ? io::ModelName(options.checkpoint) : options.model_id;
  MACH_TRY(opened.engine, MakeLocalEngine(std::move(loaded),
                                          {.model_id = id,
                                           .stop_tokens = opened.codec->end_tokens(),
                                           .max_queue = options.max_queue,
                                           .decoder = std::move(decoder)},
                                          clock));
  if (opened.engine->info().stop_tokens.empty()) {
    LogWarning(
        options.checkpoint +
        ": no file names the token that ends an answer (\"eos_token_id\" of "
        "generation_config.json or config.json, \"eos_token\" of tokenizer_config.json, each "
        "with a token of the vocabulary); answers run to their limit or a stop string: add "
        "\"eos_token_id\" to generation_config.json");
  }
  opened.memory = MemoryOf(*opened.model, plan.decode);
  return opened;
}

}  // namespace mach::engine
