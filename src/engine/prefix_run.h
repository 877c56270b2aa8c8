// One request's dealings with the prefix cache.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/prefix_point.h"
#include "cache/prefix_cache.h"
#include "engine/engine.h"
#include "engine/prefix_points.h"
#include "residency/loaded_model.h"
#include "spec/speculator.h"

namespace mach::engine {

// Owned by the engine thread. In this order: construction restores what is cached; Reached after
// each part of the prompt; FirstToken; SaveAnswer. What was captured becomes findable with the
// first token, or, where there comes none, on destruction: so that a request that is given up in
// its prompt is not lost work.
class PrefixRun {
 public:
  // cache: null: none. state: empty. All outlive this.
  PrefixRun(cache::PrefixCache* cache, const Request& request, residency::LoadedModel& model,
            cache::SequenceState& state);
  ~PrefixRun() { FirstToken(); }
  PrefixRun(const PrefixRun&) = delete;
  PrefixRun& operator=(const PrefixRun&) = delete;

  size_t cached_tokens() const { return hit_.tokens; }
  // The next position behind `at` where the prompt's parts must end.
  size_t NextStop(size_t at) const;
  // The state holds the first `at` tokens of the prompt. speculator: follows the state; may be
  // null.
  void Reached(size_t at, spec::Speculator* speculator);
  void FirstToken();
  // sequence: prompt and answer. REQUIRES: the state is not spent.
  void SaveAnswer(std::span<const TokenId> sequence, spec::Speculator* speculator);

 private:
  std::shared_ptr<cache::PrefixImage> Capture(std::span<const TokenId> tokens, PrefixKind kind,
                                              spec::Speculator* speculator);
  struct Pending {
    std::shared_ptr<cache::PrefixImage> image;
    bool to_disk = false;
  };

  cache::PrefixCache* const cache_;
  const Request& request_;
  residency::LoadedModel& model_;
  cache::SequenceState& state_;
  cache::PrefixCache::Hit hit_;
  cache::SaveTrigger trigger_ = cache::SaveTrigger::kCold;
  std::vector<PrefixPoint> points_;  // still to come
  std::vector<Pending> pending_;
};

}  // namespace mach::engine
