#include "experts/eviction.h"

namespace mach::experts {
namespace {

constexpr std::pair<Eviction, std::string_view> kNames[] = {
    {Eviction::kLookahead, "lookahead"}, {Eviction::kLru, "lru"}, {Eviction::kLfu, "lfu"}};

class NoEviction final : public EvictionPolicy {
 public:
  void OnVisit(uint32_t) override {}
  void OnUse(ExpertKey) override {}
  void OnPredict(ExpertKey) override {}
  void Add(ExpertKey) override {}
  void Remove(ExpertKey) override {}
  std::optional<ExpertKey> Victim() const override { return std::nullopt; }
};

}  // namespace

std::unique_ptr<EvictionPolicy> MakeNoEviction() { return std::make_unique<NoEviction>(); }

std::string_view EvictionName(Eviction eviction) {
  return kNames[static_cast<size_t>(eviction)].second;
}

std::optional<Eviction> EvictionFromName(std::string_view name) {
  for (const auto& [eviction, known] : kNames) {
    if (known == name) return eviction;
  }
  return std::nullopt;
}

std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(Eviction eviction, size_t layers, size_t experts,
                                                   size_t slots) {
  switch (eviction) {
    case Eviction::kLru:
      return MakeLru(layers, experts);
    case Eviction::kLfu:
      return MakeLfu(layers, experts);
    case Eviction::kLookahead:
      break;
  }
  return MakeLookahead(layers, experts, slots);
}

}  // namespace mach::experts
