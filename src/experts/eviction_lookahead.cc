#include <algorithm>
#include <cmath>

#include "experts/eviction.h"

namespace mach::experts {
namespace {

constexpr double kForget = 0.9995;  // at each event that tells the two apart
// Standard deviations by which the lead of one must pass chance.
constexpr double kSure = 4;

// What a bank of keys without bytes would hold under a policy.
class GhostBank {
 public:
  GhostBank(std::unique_ptr<EvictionPolicy> policy, size_t keys, size_t slots)
      : policy_(std::move(policy)), slots_(slots), state_(keys, State::kAbsent) {}

  void OnVisit(uint32_t layer) {
    for (const ExpertKey key : in_use_) {
      state_[key] = State::kIdle;
      policy_->Add(key);
    }
    in_use_.clear();
    policy_->OnVisit(layer);
  }
  // Gives whether it was a hit. What the visited layer uses stays until the next visit.
  bool OnUse(ExpertKey key) {
    policy_->OnUse(key);
    if (state_[key] == State::kInUse) return true;
    const bool hit = state_[key] == State::kIdle;
    if (hit) {
      policy_->Remove(key);
    } else if (held_ < slots_) {
      ++held_;
    } else if (const auto victim = policy_->Victim()) {
      policy_->Remove(*victim);
      state_[*victim] = State::kAbsent;
    } else {
      return false;
    }
    state_[key] = State::kInUse;
    in_use_.push_back(key);
    return hit;
  }

 private:
  enum class State : unsigned char { kAbsent, kIdle, kInUse };
  const std::unique_ptr<EvictionPolicy> policy_;
  const size_t slots_;
  size_t held_ = 0;
  std::vector<State> state_;  // by key
  std::vector<ExpertKey> in_use_;
};

// Follows the estimate as long as it is proven to hit more often than recency: each has a ghost
// bank, and uses that one ghost has and the other lacks are weighed like a sign test. Where nearly
// everything fits, what is left is chance, and recency stays.
class Lookahead final : public EvictionPolicy {
 public:
  Lookahead(size_t layers, size_t experts, size_t slots)
      : estimate_(MakeFarthest(layers, experts)),
        recency_(MakeLru(layers, experts)),
        estimate_ghost_(MakeFarthest(layers, experts), layers * experts, slots),
        recency_ghost_(MakeLru(layers, experts), layers * experts, slots) {}

  void OnVisit(uint32_t layer) override {
    estimate_ghost_.OnVisit(layer);
    recency_ghost_.OnVisit(layer);
    estimate_->OnVisit(layer);
    recency_->OnVisit(layer);
  }
  void OnUse(ExpertKey key) override {
    estimate_->OnUse(key);
    recency_->OnUse(key);
    const bool has = estimate_ghost_.OnUse(key);
    if (has == recency_ghost_.OnUse(key)) return;
    events_ = events_ * kForget + 1;
    lead_ = lead_ * kForget + (has ? 1 : -1);
    if (lead_ > kSure * std::sqrt(events_)) trusted_ = true;
    if (lead_ < 0) trusted_ = false;
  }
  void OnPredict(ExpertKey key) override { estimate_->OnPredict(key); }
  void Add(ExpertKey key) override {
    estimate_->Add(key);
    recency_->Add(key);
  }
  void Remove(ExpertKey key) override {
    estimate_->Remove(key);
    recency_->Remove(key);
  }
  std::optional<ExpertKey> Victim() const override {
    return trusted_ ? estimate_->Victim() : recency_->Victim();
  }

 private:
  const std::unique_ptr<EvictionPolicy> estimate_;
  const std::unique_ptr<EvictionPolicy> recency_;
  GhostBank estimate_ghost_;
  GhostBank recency_ghost_;
  double events_ = 0;  // decayed: uses that one ghost alone had
  double lead_ = 0;    // of them, the estimate's less recency's
  bool trusted_ = false;
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeLookahead(size_t layers, size_t experts, size_t slots) {
  return std::make_unique<Lookahead>(layers, experts, slots);
}

}  // namespace mach::experts
