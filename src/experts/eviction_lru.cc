#include "experts/eviction.h"
#include "experts/indexed_heap.h"

namespace mach::experts {
namespace {

// By the time of use, not of unpinning: what comes first from disk must not look older.
class Lru final : public EvictionPolicy {
 public:
  explicit Lru(size_t keys) : last_use_(keys, 0), candidates_(keys) {}

  void OnVisit(uint32_t) override {}
  void OnUse(ExpertKey key) override {
    last_use_[key] = ++now_;
    if (candidates_.Contains(key)) candidates_.Set(key, now_);
  }
  void OnPredict(ExpertKey) override {}
  void Add(ExpertKey key) override { candidates_.Set(key, last_use_[key]); }
  void Remove(ExpertKey key) override { candidates_.Remove(key); }
  std::optional<ExpertKey> Victim() const override {
    if (candidates_.empty()) return std::nullopt;
    return candidates_.top();
  }

 private:
  uint64_t now_ = 0;  // uses so far
  std::vector<uint64_t> last_use_;
  IndexedHeap<uint64_t> candidates_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeLru(size_t layers, size_t experts) {
  return std::make_unique<Lru>(layers * experts);
}

}  // namespace mach::experts
