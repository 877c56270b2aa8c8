// Runs one request after the other through the model: prompt, then in cycles of one token or more.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "cache/prefix_cache.h"
#include "engine/engine.h"
#include "engine/prefix_run.h"
#include "residency/loaded_model.h"
#include "spec/decode_loop.h"
#include "spec/speculation_modes.h"

namespace mach::engine {

struct DecoderOptions {
  std::shared_ptr<const spec::DraftModel> draft;  // null: none
  spec::PolicyOptions policy;
  std::optional<cache::PrefixCacheOptions> prefix_cache;  // nothing: none
};

// Owned by the engine thread.
class Decoder {
 public:
  // The model must outlive the decoder.
  static Result<std::unique_ptr<Decoder>> Create(residency::LoadedModel& model, const Clock& clock,
                                                 const DecoderOptions& options = {});

  // Generates until a stop token, the limit, or `cancelled`; reports to the sink's OnPrefill and
  // OnToken, and fills in the timings from the prefill on. REQUIRES: the request was checked, and
  // stays until EndRequest. kCancelled comes as an error when a forward pass was cut off, else as a
  // reason.
  Result<FinishReason> Run(const Request& request, const std::atomic<bool>& cancelled, Sink& sink,
                           Timings& timings);

  // After Run, when its client has been told: keeps the answer for the next turn.
  void EndRequest();

  // Its statistics() may be read from any thread.
  const spec::SpeculationModes& speculation_modes() const { return *modes_; }
  // Null without one. For any thread, but for what its comments leave to this one.
  cache::PrefixCache* prefix_cache() const { return prefix_cache_.get(); }

 private:
  Decoder(residency::LoadedModel& model, const Clock& clock) : model_(model), clock_(clock) {}
  Status Prefill(const Request& request, const std::atomic<bool>& cancelled, Sink& sink);

  residency::LoadedModel& model_;
  const Clock& clock_;
  std::shared_ptr<const spec::DraftModel> draft_;
  std::unique_ptr<cache::PrefixCache> prefix_cache_;  // its budget pays for blocks of state_
  std::unique_ptr<cache::SequenceState> state_;
  std::unique_ptr<spec::Verifier> verifier_;
  std::unique_ptr<spec::SpeculationModes> modes_;
  std::vector<TokenId> sequence_;
  // Of the request that runs.
  spec::Speculator* speculator_ = nullptr;
  std::optional<PrefixRun> prefix_;
  bool spent_ = false;  // the state
};

}  // namespace mach::engine
