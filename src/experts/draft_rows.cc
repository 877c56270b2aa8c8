#include "experts/draft_rows.h"

#include "base/check.h"

namespace mach::experts {

DraftRows::DraftRows(const Catalog& catalog, Bank& bank, size_t staging_slots)
    : catalog_(catalog), bank_(bank) {
  first_rows_.reserve(catalog.experts);
  held_.reserve(staging_slots);
}

void DraftRows::BeginPass(size_t rows) {
  MACH_CHECK(held_.empty());
  first_rows_.clear();
  if (chosen_.size() < rows) chosen_.resize(rows);
}

void DraftRows::BeginLayer(const ExpertRequest& request) {
  const size_t n = request.ids.size();
  MACH_CHECK(request.begins.size() == n + 1 && request.begins.back() == request.rows.size());
  first_rows_.clear();
  for (size_t i = 0; i < n; ++i) {
    first_rows_.push_back(request.rows[request.begins[i]]);
    for (uint32_t j = request.begins[i]; j < request.begins[i + 1]; ++j) {
      const uint32_t row = request.rows[j];
      // The store itself teaches what the first row uses.
      if (row > 0) chosen_[row].push_back(catalog_.Key(request.layer, request.ids[i]));
    }
  }
}

void DraftRows::Hold(uint32_t slot, uint32_t index) {
  bank_.slots().Pin(slot);
  held_.push_back({slot, FirstRow(index)});
}

void DraftRows::Commit(size_t rows) {
  for (size_t row = 0; row < chosen_.size(); ++row) {
    if (row < rows) Learn(chosen_[row]);
    chosen_[row].clear();
  }
  for (const Held& held : held_) {
    if (held.row < rows && !bank_.slots()[held.slot].resident) bank_.Promote(held.slot);
    bank_.slots().Unpin(held.slot);
  }
  held_.clear();
}

// As if a row had been decoded by itself: eviction reckons time in tokens.
void DraftRows::Learn(const std::vector<ExpertKey>& used) {
  bool first = true;
  uint32_t layer = 0;
  for (const ExpertKey key : used) {
    if (first || catalog_.LayerOf(key) != layer) {
      layer = catalog_.LayerOf(key);
      bank_.OnVisit(layer);
    }
    first = false;
    bank_.OnUse(key);
  }
}

}  // namespace mach::experts
