#include <limits>

#include "experts/indexed_heap.h"
#include "experts/trace.h"

namespace mach::experts {
namespace {

// Calls visit(layer, keys) for each layer of each pass, with the distinct experts it uses in the
// order in which they are first chosen.
template <class Visit>
void ForEachLayer(const Trace& trace, size_t max_rows, Visit&& visit) {
  std::vector<uint64_t> seen(trace.layers * trace.experts, 0);
  std::vector<ExpertKey> keys;
  uint64_t visits = 0;
  for (const TracePass& pass : trace.passes) {
    if (pass.rows > max_rows) continue;
    for (uint32_t layer = 0; layer < trace.layers; ++layer) {
      ++visits;
      keys.clear();
      for (const uint16_t id : trace.Choices(pass, layer)) {
        const auto key = static_cast<ExpertKey>(layer * trace.experts + id);
        if (seen[key] != visits) keys.push_back(key);
        seen[key] = visits;
      }
      visit(layer, std::span<const ExpertKey>(keys));
    }
  }
}

// A bank without bytes. `victim` gives a candidate or nothing; add and remove keep the candidates.
template <class Victim, class Add, class Remove>
class Contents {
 public:
  Contents(size_t keys, size_t slots, Victim victim, Add add, Remove remove)
      : slots_(slots), present_(keys, false), victim_(victim), add_(add), remove_(remove) {}

  void Use(std::span<const ExpertKey> keys, ReplayResult& result) {
    pinned_.clear();
    for (const ExpertKey key : keys) {
      if (!present_[key]) continue;
      ++result.hits;
      remove_(key);
      pinned_.push_back(key);
    }
    const size_t hits = pinned_.size();
    result.misses += keys.size() - hits;
    for (const ExpertKey key : keys) {
      if (present_[key]) continue;
      if (held_ == slots_) {
        const std::optional<ExpertKey> leaves = victim_();
        if (!leaves) {
          ++result.bypassed;
          continue;
        }
        remove_(*leaves);
        present_[*leaves] = false;
        --held_;
      }
      present_[key] = true;
      ++held_;
      pinned_.push_back(key);
    }
    for (const ExpertKey key : pinned_) add_(key);
  }

 private:
  const size_t slots_;
  size_t held_ = 0;
  std::vector<bool> present_;
  std::vector<ExpertKey> pinned_;
  Victim victim_;
  Add add_;
  Remove remove_;
};

}  // namespace

ReplayResult Replay(const Trace& trace, size_t slots, EvictionPolicy& policy, size_t max_rows) {
  ReplayResult result;
  Contents contents(
      trace.layers * trace.experts, slots, [&] { return policy.Victim(); },
      [&](ExpertKey key) { policy.Add(key); }, [&](ExpertKey key) { policy.Remove(key); });
  ForEachLayer(trace, max_rows, [&](uint32_t layer, std::span<const ExpertKey> keys) {
    policy.OnVisit(layer);
    for (const ExpertKey key : keys) policy.OnUse(key);
    contents.Use(keys, result);
  });
  return result;
}

ReplayResult ReplayOptimal(const Trace& trace, size_t slots, size_t max_rows) {
  // From the end to the beginning: when each use comes again.
  constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  const size_t keys_count = trace.layers * trace.experts;
  std::vector<std::vector<ExpertKey>> visits;
  ForEachLayer(trace, max_rows, [&](uint32_t, std::span<const ExpertKey> keys) {
    visits.emplace_back(keys.begin(), keys.end());
  });
  std::vector<std::vector<uint64_t>> next_use(visits.size());
  std::vector<uint64_t> coming(keys_count, kNever);
  for (size_t v = visits.size(); v > 0; --v) {
    for (const ExpertKey key : visits[v - 1]) {
      next_use[v - 1].push_back(coming[key]);
      coming[key] = v - 1;
    }
  }

  ReplayResult result;
  std::vector<uint64_t> next(keys_count, kNever);  // of the experts used so far
  IndexedHeap<uint64_t> candidates(keys_count);    // the farthest on top
  Contents contents(
      keys_count, slots,
      [&]() -> std::optional<ExpertKey> {
        if (candidates.empty()) return std::nullopt;
        return candidates.top();
      },
      [&](ExpertKey key) { candidates.Set(key, kNever - next[key]); },
      [&](ExpertKey key) { candidates.Remove(key); });
  for (size_t v = 0; v < visits.size(); ++v) {
    for (size_t i = 0; i < visits[v].size(); ++i) next[visits[v][i]] = next_use[v][i];
    contents.Use(visits[v], result);
  }
  return result;
}

}  // namespace mach::experts
