#include <limits>

#include "experts/decayed_counts.h"
#include "experts/eviction.h"
#include "experts/indexed_heap.h"

namespace mach::experts {
namespace {

// Two levels of heaps: within a layer fading changes no order, and between layers only the tops
// compare, whose expectation changes only when their own layer is visited.
class Lookahead final : public EvictionPolicy {
 public:
  Lookahead(size_t layers, size_t experts, double half_life)
      : experts_(experts),
        counts_(layers, experts, half_life),
        last_use_(layers * experts, 0),
        predicted_(layers * experts, false),
        predictions_(layers),
        last_visit_(layers, 0),
        farthest_(layers) {
    candidates_.reserve(layers);
    for (size_t layer = 0; layer < layers; ++layer) {
      candidates_.emplace_back(experts);
      predictions_[layer].reserve(experts);
    }
  }

  void OnVisit(uint32_t layer) override {
    ++now_;
    if (last_visit_[layer] == 0) ++cycle_;
    last_visit_[layer] = now_;
    counts_.OnVisit(layer);
    for (const ExpertKey key : predictions_[layer]) {
      predicted_[key] = false;
      if (candidates_[layer].Contains(key % experts_)) Rank(key);
    }
    predictions_[layer].clear();
    Compare(layer);
  }
  void OnUse(ExpertKey key) override {
    counts_.OnUse(key);
    last_use_[key] = now_;
    Changed(key);
  }
  void OnPredict(ExpertKey key) override {
    if (predicted_[key]) return;
    predicted_[key] = true;
    predictions_[key / experts_].push_back(key);
    Changed(key);
  }
  void Add(ExpertKey key) override {
    Rank(key);
    Compare(key / experts_);
  }
  void Remove(ExpertKey key) override {
    candidates_[key / experts_].Remove(key % experts_);
    Compare(key / experts_);
  }
  std::optional<ExpertKey> Victim() const override {
    if (farthest_.empty()) return std::nullopt;
    const uint32_t layer = farthest_.top();
    return static_cast<ExpertKey>(layer * experts_ + candidates_[layer].top());
  }

 private:
  using Order = std::pair<double, uint64_t>;  // the less, the farther the next use

  void Changed(ExpertKey key) {
    const uint32_t layer = key / experts_;
    if (!candidates_[layer].Contains(key % experts_)) return;
    Rank(key);
    Compare(layer);
  }
  void Rank(ExpertKey key) {
    const double score =
        predicted_[key] ? std::numeric_limits<double>::infinity() : counts_.Score(key);
    candidates_[key / experts_].Set(key % experts_, {score, last_use_[key]});
  }
  // Ranks the layer by its top candidate.
  void Compare(uint32_t layer) {
    const IndexedHeap<Order>& own = candidates_[layer];
    if (own.empty()) {
      if (farthest_.Contains(layer)) farthest_.Remove(layer);
      return;
    }
    const auto key = static_cast<ExpertKey>(layer * experts_ + own.top());
    const auto cycle = static_cast<double>(cycle_);
    const double p = predicted_[key] ? 1 : counts_.Probability(key);
    const double next_use = static_cast<double>(last_visit_[layer]) + cycle + (1 / p - 1) * cycle;
    farthest_.Set(layer, {-next_use, last_use_[key]});
  }

  const size_t experts_;
  DecayedCounts counts_;
  std::vector<uint64_t> last_use_;  // by key: the visit
  std::vector<bool> predicted_;
  std::vector<std::vector<ExpertKey>> predictions_;  // by layer, until its next visit

  uint64_t now_ = 0;    // visits of all layers so far
  uint64_t cycle_ = 0;  // layers that were ever visited
  std::vector<uint64_t> last_visit_;

  std::vector<IndexedHeap<Order>> candidates_;  // by layer, of experts
  IndexedHeap<Order> farthest_;                 // of layers with candidates
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeLookahead(size_t layers, size_t experts, double half_life) {
  return std::make_unique<Lookahead>(layers, experts, half_life);
}

}  // namespace mach::experts
