#include "residency/loaded_model.h"

#include <algorithm>

#include "base/topology.h"
#include "residency/ceiling.h"
#include "residency/headers.h"

namespace mach::residency {

namespace {

// What is decided before anything large is read.
struct Arrangement {
  PlanOptions plan;         // with the context that was chosen
  size_t most_context = 0;  // what the context could be under the ceiling
  std::optional<StreamingSetup> streaming;
  std::optional<ops::ExpertLayout> layout;  // nothing: the checkpoint's
};

// plan: with the threads. free: of the machine's memory.
Result<Arrangement> Arrange(io::FileSystem& fs, const Headers& headers, const LoadOptions& options,
                            size_t limit, size_t free, const PlanOptions& plan) {
  const model::ModelConfig& config = headers.config;
  MACH_RETURN_IF_ERROR(CheckContext(config, options.context_tokens));
  Arrangement made{.plan = plan, .streaming = options.streaming};
  MACH_TRY(MemoryNeeds needs, MeasureTensors(config, headers.source));
  std::optional<ExpertsOnDisk> disk;
  size_t experts = needs.all_experts();  // bytes of them in memory, at least
  if (options.sidecar) {
    MACH_TRY(disk, FindExpertsOnDisk(fs, config, headers.source, *options.sidecar));
    MACH_RETURN_IF_ERROR(UseExperts(*disk, config, *options.sidecar, needs));
    made.layout = disk->layout;
    experts = std::max(needs.least_bank, AskedBankMemory(*disk, config, *options.sidecar));
  }
  PlanOptions any_context = plan;
  any_context.max_rows = options.max_rows;
  const auto room = [&](size_t prefix) {
    return limit - std::min(limit, needs.weights + experts + prefix);
  };
  made.plan.context_tokens = options.context_tokens;
  if (options.context_tokens == 0) {
    MACH_TRY(made.plan.context_tokens,
             DefaultContext(config, any_context, room(options.prefix_asked), disk.has_value(),
                            options.later_needs));
  }
  made.plan.max_rows = std::min(options.max_rows, made.plan.context_tokens);
  SetContext(config, made.plan, needs);
  if (options.later_needs) {
    MACH_TRY(needs.decode, options.later_needs(config, made.plan));
  }
  if (disk) {
    if (options.prefix_bytes) needs.prefix = options.prefix_bytes(needs);
    MACH_TRY(made.streaming,
             PrepareStreaming(*std::move(disk), config, needs, limit, *options.sidecar, free));
  } else if (!options.streaming) {
    MACH_RETURN_IF_ERROR(CheckAllResident(config, needs, limit, free));
  }
  if (options.sidecar) experts = needs.least_bank;
  MACH_TRY(const size_t most,
           LongestContext(config, any_context, room(std::max(needs.prefix, options.prefix_asked)),
                          options.later_needs));
  made.most_context = std::max(most, made.plan.context_tokens);
  return made;
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> LoadedModel::Load(io::FileSystem& fs,
                                                       const LoadOptions& options) {
  std::unique_ptr<LoadedModel> made(new LoadedModel);
  MACH_TRY(Headers headers, Headers::Open(fs, options.checkpoint));
  const model::ModelConfig& config = headers.config;
  const io::TensorSource& source = headers.source;
  const auto in_checkpoint = [&](Error error) { return std::move(error).In(options.checkpoint); };
  MACH_TRY(made->kernels_, kernels::SelectKernels(options.isa));
  MACH_RETURN_IF_ERROR(kernels::SelfTest(*made->kernels_));

  size_t limit = options.memory_limit;
  size_t free = options.free_memory;
  if (limit == 0 || free == 0) {
    MACH_TRY(const size_t found, FreeMemoryBytes());
    if (limit == 0) limit = found;
    if (free == 0) free = found;
  }
  made->ledger_ = std::make_unique<MemoryLedger>(limit);
  made->pool_ =
      std::make_unique<ThreadPool>(options.threads != 0 ? options.threads : AvailableCpus());
  made->compute_ = options.compute;
  auto arranged = Arrange(
      fs, headers, options, limit, free,
      {.threads = made->pool_->threads(), .kv_f16 = options.compute == ops::Compute::kInt8});
  if (!arranged) return in_checkpoint(std::move(arranged).error());
  made->plan_ = arranged->plan;
  made->context_tokens_ = arranged->plan.context_tokens;
  made->most_context_tokens_ = arranged->most_context;
  const std::optional<StreamingSetup>& streaming = arranged->streaming;
  made->checkpoint_ = std::move(headers.checkpoint);

  // Progress runs over weights and experts together; those that stream are not loaded.
  uint64_t total = made->checkpoint_->tensor_bytes();
  uint64_t before = 0;
  const model::LoadProgress progress = [&](uint64_t done, uint64_t of_part) {
    if (streaming) total = of_part;
    return !options.progress || options.progress(std::min(before + done, total), total);
  };
  auto model = model::Model::Load(config, source, arranged->layout, *made->ledger_, progress);
  if (!model) return in_checkpoint(std::move(model).error());
  made->model_ = *std::move(model);
  before = made->model_->weights().bytes();
  made->thread_choice_.threads = made->pool_->threads();
  if (options.measure_threads && options.threads == 0) {
    MACH_TRY(made->thread_choice_, MeasureThreads(*made->model_, *made->kernels_, options.compute,
                                                  *made->pool_, *made->ledger_, SystemClock()));
  }
  if (streaming) {
    auto experts = MakeStreamingStore(config, made->model_->expert_layout(), *streaming,
                                      *made->ledger_, *made->pool_);
    if (!experts) return in_checkpoint(std::move(experts).error());
    if (streaming->slices != nullptr) {
      if (Status same = CheckUnchanged(fs, options.checkpoint, streaming->slices->fingerprint);
          !same) {
        return in_checkpoint(std::move(same).error());
      }
    }
    made->streaming_ = experts->get();
    made->direct_reads_ = streaming->direct;
    made->streams_from_checkpoint_ = streaming->slices != nullptr;
    made->sidecar_problem_ = streaming->sidecar_problem;
    made->experts_ = *std::move(experts);
  } else {
    auto experts =
        model::LoadExperts(config, source, made->model_->expert_layout(), *made->ledger_, progress);
    if (!experts) return in_checkpoint(std::move(experts).error());
    made->experts_ = *std::move(experts);
  }
  if (options.progress && !options.progress(total, total))
    return Error{Code::kCancelled, "loading was cancelled"};

  MACH_TRY(made->workspace_, model::Workspace::Create(
                                 *made->model_, *made->kernels_, *made->pool_, *made->experts_,
                                 options.compute, std::min(options.max_rows, made->context_tokens_),
                                 made->context_tokens_, *made->ledger_));
  return made;
}

Status LoadedModel::Reserve(MemoryTag tag, size_t bytes) {
  MACH_TRY(MemoryReservation claim, ledger_->Reserve(tag, bytes));
  reserved_.push_back(std::move(claim));
  return Ok();
}

cache::StateShape LoadedModel::StateShape() const {
  return model_->StateShape(context_tokens_, compute_ == ops::Compute::kInt8);
}

Result<std::unique_ptr<cache::SequenceState>> LoadedModel::NewState(size_t note_bytes) {
  cache::StateShape shape = StateShape();
  shape.note_bytes = note_bytes;
  return cache::SequenceState::Create(shape, *ledger_);
}

}  // namespace mach::residency
