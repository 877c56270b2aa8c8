// Which expert leaves a full bank. Policies know keys and the order of events, not slots or bytes,
// so that the bank and a replay of recorded choices drive them alike.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "experts/catalog.h"

namespace mach::experts {

enum class Eviction : unsigned char { kLookahead, kLru, kLfu };
std::string_view EvictionName(Eviction eviction);  // "lookahead", "lru", "lfu"
std::optional<Eviction> EvictionFromName(std::string_view name);

// Events of one bank in order. Every call is O(log n) in the experts of the model at worst.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // The forward pass has come to this layer. All uses until the next visit belong to it.
  virtual void OnVisit(uint32_t layer) = 0;
  // The visited layer uses an expert, resident or not. History outlives residency.
  virtual void OnUse(ExpertKey key) = 0;
  // A router's prediction: the next visit of key's layer uses it. Holds until that visit.
  virtual void OnPredict(ExpertKey key) = 0;

  // Candidates for eviction: resident, settled, not pinned and not hot. REQUIRES: key is not one
  // yet (Add), or is one (Remove).
  virtual void Add(ExpertKey key) = 0;
  virtual void Remove(ExpertKey key) = 0;
  // The candidate to go first, which stays one until Remove. Nothing when there is none.
  virtual std::optional<ExpertKey> Victim() const = 0;
};

// For `layers` layers of `experts` experts and a bank of `slots`.
std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(Eviction eviction, size_t layers, size_t experts,
                                                   size_t slots);

// For a bank that holds everything: has no victims, and costs nothing.
std::unique_ptr<EvictionPolicy> MakeNoEviction();

// Least recently used first.
std::unique_ptr<EvictionPolicy> MakeLru(size_t layers, size_t experts);

// Least often used first, where a use counts half after `half_life` visits of its layer, ties to
// the less recent.
inline constexpr double kLfuHalfLife = 64;
std::unique_ptr<EvictionPolicy> MakeLfu(size_t layers, size_t experts,
                                        double half_life = kLfuHalfLife);

// Farthest expected next use first: a layer's visit uses its expert with the probability p of
// ReuseEstimate, and the next visit of a layer is as many layers away as the cycle says, the layer
// just computed a whole cycle of them. So
//   E[next use] = next visit of the layer + (1 / p - 1) * layers of a cycle,
// with p = 1 for what a router has predicted.
std::unique_ptr<EvictionPolicy> MakeFarthest(size_t layers, size_t experts);

// As MakeFarthest where that is proven to hit more often than MakeLru in a bank of this size, else
// as MakeLru.
std::unique_ptr<EvictionPolicy> MakeLookahead(size_t layers, size_t experts, size_t slots);

}  // namespace mach::experts
