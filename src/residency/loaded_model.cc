#include "residency/loaded_model.h"

#include <algorithm>

#include "base/topology.h"
#include "cache/sequence_state.h"
#include "cache/state_shape.h"
#include "kernels/table.h"
#include "ops/context.h"
#include "ops/ffn.h"

namespace mach::residency {

Result<std::unique_ptr<LoadedModel>> LoadedModel::Load(io::FileSystem& fs,
                                                       const LoadOptions& options) {
  MACH_TRY(Headers headers, Headers::Open(fs, options.checkpoint));
  const model::ModelConfig& config = headers.config;
  MACH_TRY(const size_t free, FreeMemoryBytes());
  ArrangeOptions arrange{
      .pass = {.context_tokens = options.context_tokens,
               .max_rows = options.max_rows,
               .threads = options.threads != 0 ? options.threads : AvailableCpus(),
               .kv_f16 = options.compute == ops::Compute::kInt8},
      .ceiling = options.memory_limit != 0 ? options.memory_limit : free,
      .free = free};
  std::optional<ExpertsOnDisk> disk;
  const auto arranged = [&]() -> Result<Arrangement> {
    MACH_TRY(const MemoryNeeds tensors, MeasureTensors(config, headers.source));
    if (options.experts) {
      arrange.experts = *options.experts;
      MACH_TRY(disk, FindExpertsOnDisk(fs, config, headers.source, *options.experts));
    }
    return Arrange(config, tensors, disk ? &*disk : nullptr, arrange);
  }();
  if (!arranged) return Error(arranged.error()).In(options.checkpoint);
  return Load(fs, std::move(headers), *arranged, std::move(disk), options);
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::Load(io::FileSystem& fs, Headers headers,
                                                       const Arrangement& arrangement,
                                                       std::optional<ExpertsOnDisk> disk,
                                                       const LoadOptions& options) {
  std::unique_ptr<LoadedModel> made(new LoadedModel(fs));
  static const SystemClock machine_clock;
  const Clock& clock = options.clock != nullptr ? *options.clock : machine_clock;
  const model::ModelConfig& config = headers.config;
  const io::TensorSource& source = headers.source;
  const auto in_checkpoint = [&](Error error) { return std::move(error).In(options.checkpoint); };
  MACH_TRY(made->kernels_, kernels::SelectKernels(options.isa));
  MACH_RETURN_IF_ERROR(kernels::SelfTest(*made->kernels_));

  std::optional<ops::ExpertLayout> layout;  // nothing: the checkpoint's
  std::optional<StreamingSetup> streaming = options.streaming;
  if (disk) {
    layout = disk->layout;
    auto prepared = PrepareStreaming(*std::move(disk), config, *options.experts);
    if (!prepared) return in_checkpoint(std::move(prepared).error());
    streaming = *std::move(prepared);
  }
  if (arrangement.misfit && !options.streaming) return in_checkpoint(*arrangement.misfit);
  if (arrangement.bank) SetBank(*arrangement.bank, *streaming);

  size_t limit = options.memory_limit;
  if (limit == 0) {
    MACH_TRY(limit, FreeMemoryBytes());
  }
  made->ledger_ = std::make_unique<MemoryLedger>(limit);
  made->pool_ = std::make_unique<ThreadPool>(arrangement.pass.threads);
  made->compute_ = options.compute;
  made->plan_ = arrangement.pass;
  made->context_tokens_ = arrangement.pass.context_tokens;
  made->most_context_tokens_ = arrangement.most_context_tokens;
  made->checkpoint_ = std::move(headers.checkpoint);

  // Progress runs over weights and experts together; those that stream are not loaded.
  uint64_t total = made->checkpoint_->tensor_bytes();
  uint64_t before = 0;
  const model::LoadProgress progress = [&](uint64_t done, uint64_t of_part) {
    if (streaming) total = of_part;
    return !options.progress || options.progress(std::min(before + done, total), total);
  };
  auto model = model::Model::Load(config, source, layout, *made->ledger_, progress);
  if (!model) return in_checkpoint(std::move(model).error());
  made->model_ = *std::move(model);
  before = made->model_->weights().bytes();
  made->thread_choice_.threads = made->pool_->threads();
  if (options.measure_threads && options.threads == 0) {
    MACH_TRY(made->thread_choice_, MeasureThreads(*made->model_, *made->kernels_, options.compute,
                                                  *made->pool_, *made->ledger_, clock));
  }
  if (streaming) {
    auto experts = MakeStreamingStore(config, made->model_->expert_layout(), *streaming,
                                      *made->ledger_, *made->pool_, clock);
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

  MACH_TRY(made->workspace_,
           model::Workspace::Create(*made->model_, *made->kernels_, *made->pool_, *made->experts_,
                                    options.compute, made->plan_.max_rows, made->context_tokens_,
                                    *made->ledger_));
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
