#include "spec/memory.h"

#include "cache/state_shape.h"
#include "model/footprint.h"
#include "spec/drafter.h"
#include "spec/verifier.h"

namespace mach::spec {

DecodeNeeds MeasureDecode(const model::ModelConfig& target, const residency::PlanOptions& options,
                          const std::optional<DraftModel::Needs>& draft, bool keep_features) {
  DecodeNeeds needs;
  const size_t taps = draft ? draft->config.taps.size() : 0;
  needs.scratch = Verifier::ScratchBytes(target, options.max_rows, taps);
  const cache::StateShape shape =
      model::StateShapeOf(target, options.context_tokens, options.kv_f16);
  needs.state = shape.TapeBytes(kMaxBlock);
  if (!draft) return needs;
  needs.draft = draft->weights + Drafter::MemoryBytes(draft->config, options.kv_f16,
                                                      options.context_tokens, options.threads);
  needs.loading = draft->staging;
  if (keep_features) {
    cache::StateShape with_features = shape;
    with_features.note_bytes = Drafter::ContextFeatureBytes(draft->config);
    needs.features = (options.context_tokens + cache::kBlockTokens - 1) / cache::kBlockTokens *
                     (with_features.BlockBytes() - shape.BlockBytes());
  }
  return needs;
}

}  // namespace mach::spec
