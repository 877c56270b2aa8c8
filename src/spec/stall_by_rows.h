// How long passes wait for experts from disk, by their number of rows.
#pragma once

#include <array>
#include <cstddef>

#include "spec/draft_config.h"

namespace mach::spec {

// The misses of a pass are those of the union of its rows' experts, which grows less with each row,
// so no straight line fits them. With mean_s the decayed mean stall of passes of s rows and w_s
// their decayed number,
//
//   At(r) = sum_s w_s k(r, s) mean_s (r / s)^union_power / sum_s w_s k(r, s)
//   k(r, s) = (min(r, s) / max(r, s))^neighbor_power
//
// so that a measured r follows its own passes, and any other r its neighbours. Owned by one thread.
class StallByRows {
 public:
  // More rows than kMaxBlock count as kMaxBlock.
  void Add(size_t rows, double ns);
  // 0 while nothing was measured.
  double At(size_t rows) const;

 private:
  struct Mean {
    double weight = 0;  // decayed number of passes
    double ns = 0;
  };
  std::array<Mean, kMaxBlock + 1> means_ = {};  // by rows
};

}  // namespace mach::spec
