// Runs one request after the other through the model: prompt, then in cycles of one token or more.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "model/loaded_model.h"
#include "spec/decode_loop.h"
#include "spec/speculators.h"

namespace mach::engine {

struct DecoderOptions {
  std::shared_ptr<const spec::DraftModel> draft;  // null: none
  spec::PolicyOptions policy;
};

// Owned by the engine thread.
class Decoder {
 public:
  // The model must outlive the decoder.
  static Result<std::unique_ptr<Decoder>> Create(model::LoadedModel& model, const Clock& clock,
                                                 const DecoderOptions& options = {});

  // Generates until a stop token, the limit, or `cancelled`; reports to the sink's OnPrefill and
  // OnToken, and fills in the timings from the prefill on. REQUIRES: the request was checked.
  // kCancelled comes as an error when a forward pass was cut off, else as a reason.
  Result<FinishReason> Run(const Request& request, const std::atomic<bool>& cancelled, Sink& sink,
                           Timings& timings);

  // Its statistics() may be read from any thread.
  const spec::Speculators& speculators() const { return *speculators_; }

 private:
  Decoder(model::LoadedModel& model, const Clock& clock) : model_(model), clock_(clock) {}
  Status Prefill(std::span<const TokenId> prompt, spec::Speculator* speculator,
                 const std::atomic<bool>& cancelled, Sink& sink);

  model::LoadedModel& model_;
  const Clock& clock_;
  std::shared_ptr<const spec::DraftModel> draft_;
  std::unique_ptr<cache::SequenceState> state_;
  std::unique_ptr<spec::Verifier> verifier_;
  std::unique_ptr<spec::Speculators> speculators_;
  std::vector<TokenId> sequence_;
};

}  // namespace mach::engine
