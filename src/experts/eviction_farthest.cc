#include "experts/eviction.h"
#include "experts/indexed_heap.h"
#include "experts/reuse_estimate.h"

namespace mach::experts {
namespace {

// Candidates lie in groups, one for each layer and class of ReuseEstimate and one for what a
// router predicted. Within a group the least recent comes first, whatever the estimate learns; only
// the first ones of groups are compared by it, anew when their layer is visited, which changes
// their ages.
class Farthest final : public EvictionPolicy {
 public:
  Farthest(size_t layers, size_t experts)
      : experts_(experts),
        estimate_(layers, experts),
        last_use_(layers * experts, 0),
        group_(layers * experts, kNone),
        predicted_(layers * experts, false),
        predictions_(layers),
        last_visit_(layers, 0),
        farthest_(layers * kGroups) {
    groups_.reserve(layers * kGroups);
    for (size_t i = 0; i < layers * kGroups; ++i) groups_.emplace_back(experts);
    for (auto& predictions : predictions_) predictions.reserve(experts);
  }

  void OnVisit(uint32_t layer) override {
    ++now_;
    if (last_visit_[layer] == 0) ++cycle_;
    last_visit_[layer] = now_;
    estimate_.OnVisit(layer);
    for (const ExpertKey key : predictions_[layer]) {
      predicted_[key] = false;
      Regroup(key);
    }
    predictions_[layer].clear();
    for (size_t g = 0; g < kGroups; ++g) Compare(layer * kGroups + g);
  }
  void OnUse(ExpertKey key) override {
    estimate_.OnUse(key);
    last_use_[key] = now_;
    Regroup(key);
  }
  void OnPredict(ExpertKey key) override {
    if (predicted_[key]) return;
    predicted_[key] = true;
    predictions_[key / experts_].push_back(key);
    Regroup(key);
  }
  void Add(ExpertKey key) override {
    const size_t group =
        key / experts_ * kGroups + (predicted_[key] ? kPredicted : estimate_.Class(key));
    group_[key] = static_cast<uint32_t>(group);
    groups_[group].Set(key % experts_, last_use_[key]);
    Compare(group);
  }
  void Remove(ExpertKey key) override {
    groups_[group_[key]].Remove(key % experts_);
    Compare(group_[key]);
    group_[key] = kNone;
  }
  std::optional<ExpertKey> Victim() const override {
    if (farthest_.empty()) return std::nullopt;
    return First(farthest_.top());
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr size_t kPredicted = ReuseEstimate::kClasses;
  static constexpr size_t kGroups = kPredicted + 1;

  ExpertKey First(size_t group) const {
    return static_cast<ExpertKey>(group / kGroups * experts_ + groups_[group].top());
  }
  void Regroup(ExpertKey key) {
    if (group_[key] == kNone) return;
    Remove(key);
    Add(key);
  }
  // Ranks the group by its first candidate.
  void Compare(size_t group) {
    const auto id = static_cast<uint32_t>(group);
    if (groups_[group].empty()) {
      if (farthest_.Contains(id)) farthest_.Remove(id);
      return;
    }
    const ExpertKey key = First(group);
    const double p = predicted_[key] ? 1 : estimate_.Probability(key);
    const auto cycle = static_cast<double>(cycle_);
    const double next_use = static_cast<double>(last_visit_[group / kGroups]) + cycle / p;
    farthest_.Set(id, {-next_use, last_use_[key]});
  }

  const size_t experts_;
  ReuseEstimate estimate_;
  std::vector<uint64_t> last_use_;  // by key: the visit, of all layers'
  std::vector<uint32_t> group_;     // by key; kNone: no candidate
  std::vector<bool> predicted_;
  std::vector<std::vector<ExpertKey>> predictions_;  // by layer, until its next visit

  uint64_t now_ = 0;    // visits of all layers so far
  uint64_t cycle_ = 0;  // layers that were ever visited
  std::vector<uint64_t> last_visit_;

  std::vector<IndexedHeap<uint64_t>> groups_;          // [layers, kGroups], of experts
  IndexedHeap<std::pair<double, uint64_t>> farthest_;  // of groups with candidates
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeFarthest(size_t layers, size_t experts) {
  return std::make_unique<Farthest>(layers, experts);
}

}  // namespace mach::experts
