#include "spec/stall_by_rows.h"

#include <algorithm>
#include <cmath>

#include "spec/policy_tuning.h"

namespace mach::spec {
namespace {

// What passes of s rows tell of passes of r rows.
struct Relation {
  double weight = 0;  // k(r, s)
  double growth = 0;  // stall of r rows over that of s
};
using Relations = std::array<std::array<Relation, kMaxBlock + 1>, kMaxBlock + 1>;  // [r][s]

Relations MakeRelations() {
  Relations made = {};
  for (size_t to = 1; to <= kMaxBlock; ++to) {
    for (size_t from = 1; from <= kMaxBlock; ++from) {
      const double ratio = static_cast<double>(to) / static_cast<double>(from);
      made[to][from] = {std::pow(std::min(ratio, 1 / ratio), kPolicyTuning.neighbor_power),
                        std::pow(ratio, kPolicyTuning.union_power)};
    }
  }
  return made;
}

}  // namespace

void StallByRows::Add(size_t rows, double ns) {
  for (Mean& mean : means_) mean.weight *= kPolicyTuning.time_decay;
  Mean& mean = means_[std::min(rows, kMaxBlock)];
  mean.weight += 1;
  mean.ns += (ns - mean.ns) / mean.weight;
}

double StallByRows::At(size_t rows) const {
  // Several sums are made for each token; the powers are computed once.
  static const Relations kRelations = MakeRelations();
  const auto& relations = kRelations[std::min(rows, kMaxBlock)];
  double weights = 0;
  double sum = 0;
  for (size_t r = 1; r < means_.size(); ++r) {
    const double weight = means_[r].weight * relations[r].weight;
    weights += weight;
    sum += weight * means_[r].ns * relations[r].growth;
  }
  return weights == 0 ? 0 : sum / weights;
}

}  // namespace mach::spec
