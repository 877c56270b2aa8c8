#include "engine/prefix_run.h"

#include <algorithm>
#include <utility>

#include "base/prefix_point.h"

namespace mach::engine {

PrefixRun::PrefixRun(cache::PrefixCache* cache, const Request& request,
                     residency::LoadedModel& model, cache::SequenceState& state)
    : cache_(cache), request_(request), model_(model), state_(state) {
  if (cache_ == nullptr) return;
  hit_ = cache_->Resume(request.prompt, request.session, state);
  if (hit_.tokens > 0) trigger_ = cache::SaveTrigger::kContinued;
  if (request.warm) trigger_ = cache::SaveTrigger::kWarm;
  points_ =
      ChoosePrefixPoints(request.prefix_points, {.cached_tokens = hit_.tokens,
                                                 .prompt_tokens = request.prompt.size(),
                                                 .copy_bytes = cache_->copy_bytes(),
                                                 .max_bytes = cache_->max_bytes(),
                                                 .anywhere = cache_->anywhere(),
                                                 .parts_cost_reads = model.streaming() != nullptr});
}

size_t PrefixRun::NextStop(size_t at) const {
  for (const PrefixPoint& point : points_) {
    if (point.tokens > at) return point.tokens;
  }
  return request_.prompt.size();
}

std::shared_ptr<cache::PrefixImage> PrefixRun::Capture(std::span<const TokenId> tokens,
                                                       PrefixKind kind,
                                                       spec::Speculator* speculator) {
  if (speculator != nullptr) speculator->Sync();
  model_.model().Settle(model_.workspace(), state_);
  return cache_->Capture(tokens, kind, hit_.conversation, state_);
}

void PrefixRun::Reached(size_t at, spec::Speculator* speculator) {
  if (points_.empty() || points_.front().tokens != at) return;
  const PrefixPoint point = points_.front();
  points_.erase(points_.begin());
  auto image = Capture(std::span(request_.prompt).first(at), point.kind, speculator);
  if (image == nullptr) return;
  // Between them the others are worth no file: the next turn begins at the last one.
  const bool to_disk = point.kind == PrefixKind::kSystem || points_.empty();
  pending_.push_back({std::move(image), to_disk});
}

void PrefixRun::FirstToken() {
  for (Pending& pending : std::exchange(pending_, {})) {
    cache_->Commit(std::move(pending.image), hit_.conversation, trigger_, pending.to_disk);
  }
  if (cache_ != nullptr) cache_->FirstToken();
}

void PrefixRun::SaveAnswer(std::span<const TokenId> sequence, spec::Speculator* speculator) {
  if (cache_ == nullptr || state_.length() <= request_.prompt.size()) return;
  auto image = Capture(sequence.first(state_.length()), PrefixKind::kAnswer, speculator);
  if (image == nullptr) return;
  cache_->Commit(std::move(image), hit_.conversation, cache::SaveTrigger::kContinued, true);
}

}  // namespace mach::engine
