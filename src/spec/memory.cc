#include "spec/memory.h"

#include "spec/drafter.h"
#include "spec/verifier.h"

namespace mach::spec {

size_t DecodeBytes(const model::ModelConfig& target, const model::PlanOptions& options,
                   const std::optional<DraftModel::Needs>& draft, bool notes) {
  const size_t taps = draft ? draft->config.taps.size() : 0;
  size_t bytes = Verifier::ScratchBytes(target, options.max_rows, taps);
  const cache::StateShape shape =
      model::StateShapeOf(target, options.context_tokens, options.kv_f16);
  bytes += shape.TapeBytes(kMaxBlock);
  if (draft) {
    bytes += draft->weights + draft->staging +
             Drafter::MemoryBytes(draft->config, options.kv_f16, options.context_tokens,
                                  options.threads);
    if (notes) {
      cache::StateShape noted = shape;
      noted.note_bytes = Drafter::NoteBytes(draft->config);
      bytes += (options.context_tokens + cache::kBlockTokens - 1) / cache::kBlockTokens *
               (noted.BlockBytes() - shape.BlockBytes());
    }
  }
  return bytes;
}

}  // namespace mach::spec
