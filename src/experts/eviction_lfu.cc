#include "experts/decayed_counts.h"
#include "experts/eviction.h"
#include "experts/indexed_heap.h"

namespace mach::experts {
namespace {

// Counts of different layers are compared as they were at the last visits: a layer's visits all
// come once a token, so that they differ by one at most.
class Lfu final : public EvictionPolicy {
 public:
  Lfu(size_t layers, size_t experts, double half_life)
      : counts_(layers, experts, half_life),
        last_use_(layers * experts, 0),
        candidates_(layers * experts) {}

  void OnVisit(uint32_t layer) override { counts_.OnVisit(layer); }
  void OnUse(ExpertKey key) override {
    counts_.OnUse(key);
    last_use_[key] = ++now_;
    if (candidates_.Contains(key)) Add(key);
  }
  void OnPredict(ExpertKey) override {}
  void Add(ExpertKey key) override { candidates_.Set(key, {counts_.Score(key), last_use_[key]}); }
  void Remove(ExpertKey key) override { candidates_.Remove(key); }
  std::optional<ExpertKey> Victim() const override {
    if (candidates_.empty()) return std::nullopt;
    return candidates_.top();
  }

 private:
  DecayedCounts counts_;
  uint64_t now_ = 0;  // uses so far
  std::vector<uint64_t> last_use_;
  IndexedHeap<std::pair<double, uint64_t>> candidates_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeLfu(size_t layers, size_t experts, double half_life) {
  return std::make_unique<Lfu>(layers, experts, half_life);
}

}  // namespace mach::experts
