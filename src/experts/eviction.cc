#include "experts/eviction.h"

namespace mach::experts {
namespace {

constexpr std::pair<Eviction, std::string_view> kNames[] = {
    {Eviction::kLookahead, "lookahead"}, {Eviction::kLru, "lru"}, {Eviction::kLfu, "lfu"}};

}  // namespace

std::string_view EvictionName(Eviction eviction) {
  return kNames[static_cast<size_t>(eviction)].second;
}

std::optional<Eviction> EvictionFromName(std::string_view name) {
  for (const auto& [eviction, known] : kNames) {
    if (known == name) return eviction;
  }
  return std::nullopt;
}

std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(Eviction eviction, size_t layers,
                                                   size_t experts) {
  switch (eviction) {
    case Eviction::kLru:
      return MakeLru(layers, experts);
    case Eviction::kLfu:
      return MakeLfu(layers, experts);
    case Eviction::kLookahead:
      break;
  }
  return MakeLookahead(layers, experts);
}

}  // namespace mach::experts
