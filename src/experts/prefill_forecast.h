// Which layers of a prefill pass are worth reading before they are requested.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "experts/catalog.h"

namespace mach::experts {

// Learns from how many rows on a pass needs nearly all experts of a layer; such a pass reads each
// next layer whole while the one before it computes. One that needs less is no example for the
// next passes of its size. Used by one thread.
class PrefillForecast {
 public:
  explicit PrefillForecast(const Catalog& catalog);

  // A prefill pass of `rows` begins, or a layer of it has requested `wanted` experts. Both give the
  // layer to read whole now, where there is one.
  std::optional<uint32_t> OnPass(size_t rows);
  std::optional<uint32_t> OnDemand(uint32_t layer, size_t wanted);

 private:
  std::vector<size_t> records_;                // by layer: experts it has
  std::vector<std::optional<uint32_t>> next_;  // by layer: the next one with experts
  std::optional<uint32_t> first_;              // the first layer with experts
  size_t rows_ = 0;                            // of the pass
  size_t full_rows_ = SIZE_MAX;                // from so many on it is taken to need all
};

}  // namespace mach::experts
