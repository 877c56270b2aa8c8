#include "spec/memory.h"

#include "spec/drafter.h"
#include "spec/verifier.h"

namespace mach::spec {

size_t DecodeBytes(const model::ModelConfig& target, const model::PlanOptions& options,
                   const std::optional<DraftModel::Needs>& draft) {
  const size_t taps = draft ? draft->config.taps.size() : 0;
  size_t bytes = Verifier::ScratchBytes(target, options.max_rows, taps);
  bytes += model::StateShapeOf(target, options.context_tokens, options.kv_f16).TapeBytes(kMaxBlock);
  if (draft) {
    bytes += draft->weights + draft->staging +
             Drafter::MemoryBytes(draft->config, options.kv_f16, options.context_tokens,
                                  options.threads);
  }
  return bytes;
}

}  // namespace mach::spec
