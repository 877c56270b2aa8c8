// Runs one request after the other through the model: prompt, then token by token.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "model/loaded_model.h"

namespace mach::engine {

// Owned by the engine thread.
class Decoder {
 public:
  // The model must outlive the decoder.
  static Result<std::unique_ptr<Decoder>> Create(model::LoadedModel& model, const Clock& clock);

  // Generates until a stop token, the limit, or `cancelled`; reports to the sink's OnPrefill and
  // OnToken, and fills in the timings from the prefill on. REQUIRES: the request was checked.
  // kCancelled comes as an error when a forward pass was cut off, else as a reason.
  Result<FinishReason> Run(const Request& request, const std::atomic<bool>& cancelled, Sink& sink,
                           Timings& timings);

 private:
  Decoder(model::LoadedModel& model, const Clock& clock,
          std::unique_ptr<cache::SequenceState> state);
  Status Step(std::span<const TokenId> tokens, bool want_logits,
              const std::atomic<bool>& cancelled);
  TokenEvent Describe(const Request& request, TokenId token) const;

  model::LoadedModel& model_;
  const Clock& clock_;
  const std::unique_ptr<cache::SequenceState> state_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
};

}  // namespace mach::engine
