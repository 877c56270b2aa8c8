#include "experts/prefill_forecast.h"

#include <algorithm>

namespace mach::experts {
namespace {

// A pass that needs so much of one layer needs about as much of the next.
constexpr double kNearlyAll = 0.9;

}  // namespace

PrefillForecast::PrefillForecast(const Catalog& catalog)
    : records_(catalog.layers), next_(catalog.layers) {
  for (size_t i = catalog.layers; i > 0; --i) {
    const auto layer = static_cast<uint32_t>(i - 1);
    records_[layer] = catalog.LayerRecords(layer);
    next_[layer] = first_;
    if (records_[layer] != 0) first_ = layer;
  }
}

std::optional<uint32_t> PrefillForecast::OnPass(size_t rows) {
  rows_ = rows;
  return rows >= full_rows_ ? first_ : std::nullopt;
}

std::optional<uint32_t> PrefillForecast::OnDemand(uint32_t layer, size_t wanted) {
  if (static_cast<double>(wanted) < kNearlyAll * static_cast<double>(records_[layer])) {
    if (rows_ >= full_rows_) full_rows_ = rows_ + 1;
    return std::nullopt;
  }
  full_rows_ = std::min(full_rows_, rows_);
  return next_[layer];
}

}  // namespace mach::experts
