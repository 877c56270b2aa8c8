// A model ready to run: config, weights, and the forward pass.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "cache/sequence_state.h"
#include "experts/expert_store.h"
#include "io/tensor_source.h"
#include "kernels/table.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/context.h"

namespace mach::model {

// Sees what a reference can be held against. Called on the calling thread, between ops.
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  // The residual stream [rows, hidden] that enters layer `layer`; layer == layers: after the last
  // one's final norm.
  virtual void OnHidden(size_t layer, const float* rows, size_t count) = 0;
  // ids [rows, top_k], in order of falling probability.
  virtual void OnExperts(size_t layer, const ExpertId* ids, size_t count, size_t top_k) = 0;
};

struct ForwardRequest {
  std::span<const TokenId> tokens;  // at most max_rows of the workspace; ids < vocab
  // Layers whose residual stream, after the layer, is wanted (ascending), and where it goes:
  // [rows, taps, hidden].
  std::span<const uint32_t> taps;
  float* tap_rows = nullptr;
  ForwardObserver* observer = nullptr;
  const std::atomic<bool>* cancel = nullptr;  // looked at before each layer and each read
  // The tokens after the first are drafts: CommitRows says how many rows stay.
  bool draft = false;
};

class Model;

// What one forward pass at a time works with: threads, scratch, experts. Owned by one thread.
class Workspace {
 public:
  // rows: most tokens of one Forward. context: most tokens of a sequence.
  static Result<std::unique_ptr<Workspace>> Create(const Model& model,
                                                   const kernels::KernelTable& kernels,
                                                   ThreadPool& pool, experts::ExpertStore& experts,
                                                   ops::Compute compute, size_t rows,
                                                   size_t context, MemoryLedger& ledger);
  size_t max_rows() const { return rows_; }
  // Of the last pass, which had drafts, so many rows stay.
  void CommitRows(size_t rows) { experts_.Commit(rows); }

 private:
  friend class Model;
  Workspace(const kernels::KernelTable& kernels, ThreadPool& pool, Arena arena,
            experts::ExpertStore& experts, ops::Compute compute, size_t rows)
      : arena_(std::move(arena)),
        ctx_{kernels, pool, arena_, compute},
        experts_(experts),
        rows_(rows) {}
  MemoryReservation reservation_;
  Arena arena_;
  ops::Context ctx_;
  experts::ExpertStore& experts_;
  ops::MoeScratch moe_;
  std::vector<ExpertId> predicted_;
  const size_t rows_;
};

// Const after Load, and shared by all sequences.
class Model {
 public:
  // experts: the layout of the records that the store will give; nothing: the checkpoint's own.
  static Result<std::unique_ptr<Model>> Load(const ModelConfig& config,
                                             const io::TensorSource& source,
                                             const std::optional<ops::ExpertLayout>& experts,
                                             MemoryLedger& ledger, const LoadProgress& progress);

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return *weights_; }
  const ops::ExpertLayout& expert_layout() const { return expert_layout_; }
  // Elements of all matrices, routed experts included; a tied head counts once.
  size_t ParameterCount() const;

  // What a sequence of at most max_tokens remembers.
  cache::StateShape StateShape(size_t max_tokens, bool kv_f16) const;

  // Runs the tokens that follow the state's, and leaves their final hidden states (after the final
  // norm) in hidden [tokens, hidden]. Fails with kCancelled, with kNonFinite and the layer, or with
  // the expert store's errors; the state is spent then.
  Status Forward(Workspace& ws, const ForwardRequest& request, cache::SequenceState& state,
                 float* hidden) const;

  // Replays what a rollback left pending, so that the state can be copied (SequenceState::settled).
  void Settle(Workspace& ws, cache::SequenceState& state) const;

  // logits [rows, vocab] of final hidden states [rows, hidden], rows <= max_rows. Fails with
  // kNonFinite.
  Status Logits(Workspace& ws, const float* hidden, size_t rows, float* logits) const;

 private:
  friend class Workspace;
  // Tells the store what layer's router makes of the residual stream x [rows, hidden] before it.
  void PredictExperts(Workspace& ws, size_t layer, const float* x, size_t rows) const;
  ModelConfig config_;
  std::vector<float> inv_freq_;
  std::unique_ptr<Weights> weights_;
  ops::ExpertLayout expert_layout_;
};

}  // namespace mach::model
