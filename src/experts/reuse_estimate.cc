#include "experts/reuse_estimate.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace mach::experts {
namespace {

constexpr double kHalfLife = 64;       // of a use, in visits of its layer
constexpr double kPerDoubling = 2;     // classes
constexpr double kPriorVisits = 8;     // that the prior counts as
constexpr double kTail = 0.06;         // of the prior: chance of a gap without a scale, times age
constexpr double kNever = 1e-9;        // chance of what was never used
constexpr uint64_t kMemory = 1 << 18;  // uses after which older ones count half

size_t AgeBucket(uint64_t age, size_t buckets) {
  return std::min<size_t>(static_cast<size_t>(std::bit_width(age)) - 1, buckets - 1);
}

}  // namespace

ReuseEstimate::ReuseEstimate(size_t layers, size_t experts)
    : experts_(experts),
      visits_(layers, 0),
      sweep_(layers, 0),
      last_(layers * experts, 0),
      settled_(layers * experts, 0),
      count_(layers * experts, 0),
      class_(layers * experts, 0) {}

void ReuseEstimate::OnVisit(uint32_t layer) {
  // What is never used again must count, too: one expert at a time.
  const auto key = static_cast<ExpertKey>(layer * experts_ + sweep_[layer]);
  sweep_[layer] = (sweep_[layer] + 1) % experts_;
  if (class_[key] != 0) Settle(key, visits_[layer] - last_[key]);
  ++visits_[layer];
}

void ReuseEstimate::OnUse(ExpertKey key) {
  const uint64_t visit = visits_[key / experts_];
  if (class_[key] == 0) {
    count_[key] = 1;
  } else {
    const uint64_t gap = visit - last_[key];
    if (gap == 0) return;
    Settle(key, gap);
    cells_[class_[key]][AgeBucket(gap, kAges)].uses += 1;
    count_[key] = 1 + count_[key] * std::exp2(-static_cast<double>(gap) / kHalfLife);
    if (++uses_ == kMemory) Forget();
  }
  const auto level = static_cast<size_t>(kPerDoubling * std::log2(count_[key]));
  class_[key] = static_cast<unsigned char>(1 + std::min(level, kClasses - 2));
  last_[key] = visit;
  settled_[key] = 0;
}

void ReuseEstimate::Settle(ExpertKey key, uint64_t age) {
  uint64_t& settled = settled_[key];
  while (settled < age) {
    const size_t bucket = AgeBucket(settled + 1, kAges);
    const uint64_t end = bucket == kAges - 1 ? age : std::min(age, (uint64_t{2} << bucket) - 1);
    cells_[class_[key]][bucket].visits += static_cast<double>(end - settled);
    settled = end;
  }
}

void ReuseEstimate::Forget() {
  for (auto& ages : cells_) {
    for (Cell& cell : ages) {
      cell.visits /= 2;
      cell.uses /= 2;
    }
  }
  uses_ = 0;
}

double ReuseEstimate::Probability(ExpertKey key) const {
  const size_t level = class_[key];
  if (level == 0) return kNever;
  const uint64_t age = visits_[key / experts_] - last_[key] + 1;
  // Until there are counts: the decayed frequency, or what gaps of any length would be.
  const double uses = std::exp2(static_cast<double>(level - 1) / kPerDoubling);
  const double frequency =
      uses * std::exp2(-static_cast<double>(age) / kHalfLife) * (1 - std::exp2(-1 / kHalfLife));
  const double prior = std::clamp(frequency, kTail / static_cast<double>(age + 1), 0.5);
  const Cell& cell = cells_[level][AgeBucket(age, kAges)];
  return std::min(1.0, (cell.uses + kPriorVisits * prior) / (cell.visits + kPriorVisits));
}

}  // namespace mach::experts
