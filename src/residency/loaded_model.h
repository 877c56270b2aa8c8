// A checkpoint opened, planned, loaded and ready to run: everything that a forward pass needs, in
// one owner.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "cache/sequence_state.h"
#include "cache/state_shape.h"
#include "experts/expert_store.h"
#include "experts/streaming_store.h"
#include "io/checkpoint.h"
#include "kernels/table.h"
#include "model/model.h"
#include "ops/context.h"
#include "residency/arrangement.h"
#include "residency/headers.h"
#include "residency/plan.h"
#include "residency/residency.h"
#include "residency/streaming_setup.h"
#include "residency/thread_choice.h"

namespace mach::residency {

struct LoadOptions {
  std::string checkpoint;           // directory
  size_t context_tokens = 0;        // 0: DefaultContext
  size_t threads = 0;               // 0: the processors there are
  bool measure_threads = false;     // with threads == 0: then only as many as decode fastest
  size_t max_rows = 256;            // tokens of one forward pass
  std::optional<kernels::Isa> isa;  // nothing: the best
  ops::Compute compute = ops::Compute::kInt8;
  size_t memory_limit = 0;       // bytes; 0: what is free
  model::LoadProgress progress;  // of all bytes that are read
  // Where experts stream; nothing: all experts in memory.
  std::optional<ExpertOptions> experts;
  // Instead of `experts`: a store over a catalog that is not a checkpoint's, as tests make one.
  std::optional<StreamingSetup> streaming;  // from a catalog made by hand
  const Clock* clock = nullptr;             // outlives the model; null: the machine's
};

// Reads headers and config, checks that everything fits, then loads. The file system outlives the
// model. Destroyed in reverse order.
class LoadedModel {
 public:
  static Result<std::unique_ptr<LoadedModel>> Load(io::FileSystem& fs, const LoadOptions& options);
  // Of headers whose arrangement was made before, with the experts on disk that it was made for.
  // Its pass, not the options', decides context, rows and threads. Errors name the checkpoint.
  static Result<std::unique_ptr<LoadedModel>> Load(io::FileSystem& fs, Headers headers,
                                                   const Arrangement& arrangement,
                                                   std::optional<ExpertsOnDisk> disk,
                                                   const LoadOptions& options);

  const io::Checkpoint& checkpoint() const { return *checkpoint_; }
  const model::ModelConfig& config() const { return model_->config(); }
  const model::Model& model() const { return *model_; }
  model::Workspace& workspace() { return *workspace_; }
  MemoryLedger& ledger() { return *ledger_; }
  const MemoryLedger& ledger() const { return *ledger_; }
  // Claims bytes of the ledger for as long as the model lives.
  Status Reserve(MemoryTag tag, size_t bytes);
  // The experts' store when they stream from disk, else null. Its counters are for any thread.
  experts::StreamingStore* streaming() { return streaming_; }
  const experts::StreamingStore* streaming() const { return streaming_; }
  const kernels::KernelTable& kernels() const { return *kernels_; }
  ThreadPool& pool() { return *pool_; }
  size_t threads() const { return pool_->active(); }
  // What the number of threads was chosen by; without a measurement it has no timings.
  const ThreadChoice& thread_choice() const { return thread_choice_; }
  // Whether experts that stream are read past the page cache.
  bool direct_reads() const { return direct_reads_; }
  // Whether experts that stream are read from the checkpoint's tensors; and, for want of a sidecar,
  // why.
  bool streams_from_checkpoint() const { return streams_from_checkpoint_; }
  const std::string& sidecar_problem() const { return sidecar_problem_; }
  size_t context_tokens() const { return context_tokens_; }
  // What the context could be at most under this limit, everything else equal.
  size_t most_context_tokens() const { return most_context_tokens_; }
  const PlanOptions& plan() const { return plan_; }  // of what it was loaded for
  ops::Compute compute() const { return compute_; }

  // Of its sequences. Keys and values are f32 when computing in f32, else f16.
  cache::StateShape StateShape() const;
  // Two models whose identities are equal bring sequences to the same state, bit for bit. Reads the
  // resident weights and some of the checkpoint's files.
  Result<std::string> StateIdentity() const;
  // A new, empty sequence. note_bytes: see cache::StateShape.
  Result<std::unique_ptr<cache::SequenceState>> NewState(size_t note_bytes = 0);

 private:
  explicit LoadedModel(io::FileSystem& fs) : fs_(fs) {}
  io::FileSystem& fs_;
  std::unique_ptr<io::Checkpoint> checkpoint_;
  std::unique_ptr<MemoryLedger> ledger_;
  std::vector<MemoryReservation> reserved_;  // for others, see Reserve
  std::unique_ptr<ThreadPool> pool_;
  ThreadChoice thread_choice_;
  const kernels::KernelTable* kernels_ = nullptr;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<experts::ExpertStore> experts_;
  experts::StreamingStore* streaming_ = nullptr;  // experts_, when it is one
  bool direct_reads_ = false;
  bool streams_from_checkpoint_ = false;
  std::string sidecar_problem_;
  std::unique_ptr<model::Workspace> workspace_;
  size_t context_tokens_ = 0;
  size_t most_context_tokens_ = 0;
  PlanOptions plan_;
  ops::Compute compute_ = ops::Compute::kInt8;
};

}  // namespace mach::residency
