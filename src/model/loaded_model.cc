#include "model/loaded_model.h"

#include <algorithm>

#include "base/topology.h"
#include "model/ceiling.h"
#include "model/headers.h"

namespace mach::model {

Result<std::unique_ptr<LoadedModel>> LoadedModel::Load(io::FileSystem& fs,
                                                       const LoadOptions& options) {
  std::unique_ptr<LoadedModel> made(new LoadedModel);
  MACH_TRY(Headers headers, Headers::Open(fs, options.checkpoint));
  made->checkpoint_ = std::move(headers.checkpoint);
  const ModelConfig& config = headers.config;
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
  if (Status possible = CheckContext(config, options.context_tokens); !possible) {
    return in_checkpoint(std::move(possible).error());
  }
  made->context_tokens_ = options.context_tokens != 0
                              ? options.context_tokens
                              : std::min(config.max_positions, kDefaultContext);

  const PlanOptions plan{.context_tokens = made->context_tokens_,
                         .max_rows = std::min(options.max_rows, made->context_tokens_),
                         .threads = made->pool_->threads(),
                         .kv_f16 = options.compute == ops::Compute::kInt8};
  made->plan_ = plan;

  // Progress runs over weights and experts together; those that stream are not loaded.
  uint64_t total = made->checkpoint_->tensor_bytes();
  uint64_t before = 0;
  const LoadProgress progress = [&](uint64_t done, uint64_t of_part) {
    if (options.streaming || options.sidecar) total = of_part;
    return !options.progress || options.progress(std::min(before + done, total), total);
  };
  std::optional<ExpertStreaming> streaming = options.streaming;
  std::optional<ops::ExpertLayout> layout;  // nothing: the checkpoint's
  auto needs = MeasureNeeds(config, source, plan);
  if (!needs) return in_checkpoint(std::move(needs).error());
  if (options.later_needs) {
    MACH_TRY(needs->decode, options.later_needs(config, plan));
  }
  if (!options.sidecar && !options.streaming) {
    if (Status fits = CheckAllResident(config, *needs, limit, free); !fits) {
      return in_checkpoint(std::move(fits).error());
    }
  }
  if (options.sidecar) {
    auto disk = FindDiskExperts(fs, config, source, *options.sidecar);
    if (!disk) return in_checkpoint(std::move(disk).error());
    if (Status fits = UseExperts(*disk, config, *options.sidecar, *needs); !fits) {
      return in_checkpoint(std::move(fits).error());
    }
    layout = disk->layout;
    if (options.prefix_bytes) needs->prefix = options.prefix_bytes(*needs);
    auto prepared =
        PrepareStreaming(*std::move(disk), config, *needs, limit, *options.sidecar, free);
    if (!prepared) return in_checkpoint(std::move(prepared).error());
    streaming = *std::move(prepared);
  }
  const size_t held = needs->weights + std::max(needs->prefix, options.prefix_asked) +
                      (options.sidecar ? needs->least_bank : needs->all_experts());
  PlanOptions longest = plan;
  longest.max_rows = options.max_rows;
  MACH_TRY(const size_t most,
           LongestContext(config, longest, limit - std::min(limit, held), options.later_needs));
  made->most_context_tokens_ = std::max(most, made->context_tokens_);
  auto model = Model::Load(config, source, layout, *made->ledger_, progress);
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
        LoadExperts(config, source, made->model_->expert_layout(), *made->ledger_, progress);
    if (!experts) return in_checkpoint(std::move(experts).error());
    made->experts_ = *std::move(experts);
  }
  if (options.progress && !options.progress(total, total))
    return Error{Code::kCancelled, "loading was cancelled"};

  MACH_TRY(made->workspace_,
           Workspace::Create(*made->model_, *made->kernels_, *made->pool_, *made->experts_,
                             options.compute, std::min(options.max_rows, made->context_tokens_),
                             made->context_tokens_, *made->ledger_));
  return made;
}

cache::StateShape LoadedModel::StateShape() const {
  return model_->StateShape(context_tokens_, compute_ == ops::Compute::kInt8);
}

Result<std::unique_ptr<cache::SequenceState>> LoadedModel::NewState(size_t note_bytes) {
  cache::StateShape shape = StateShape();
  shape.note_bytes = note_bytes;
  return cache::SequenceState::Create(shape, *ledger_);
}

}  // namespace mach::model
