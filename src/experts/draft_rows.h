// What the rows of a pass with drafts chose, until it is known which of them are accepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/bank.h"
#include "experts/expert_store.h"

namespace mach::experts {

// Experts that only later rows chose displace nothing while they may be rejected: they are staged,
// and pinned from when they are handed out until Commit. Used by one thread.
class DraftRows {
 public:
  DraftRows(const Catalog& catalog, Bank& bank, size_t staging_slots);

  // REQUIRES: the last pass was committed. rows: 0 where the pass that begins has no drafts.
  void BeginPass(size_t rows);
  // REQUIRES: the pass has drafts, and the request says which rows chose what.
  void BeginLayer(const ExpertRequest& request);
  // The first row that chose this expert of the layer; 0 where the pass has no drafts.
  uint32_t FirstRow(uint32_t index) const { return first_rows_.empty() ? 0 : first_rows_[index]; }

  // Keeps an expert of the layer that was handed out. REQUIRES: staged, settled.
  void Hold(uint32_t slot, uint32_t index);
  // The first `rows` rows are accepted: eviction learns from them, and what they chose becomes
  // resident where there is room. The rest leaves no trace.
  void Commit(size_t rows);

 private:
  struct Held {
    uint32_t slot;
    uint32_t row;  // the first one that chose it
  };
  void Learn(const std::vector<ExpertKey>& used);

  const Catalog& catalog_;
  Bank& bank_;
  std::vector<uint32_t> first_rows_;            // by index of the layer's request
  std::vector<std::vector<ExpertKey>> chosen_;  // by row, but for the first; by layer
  std::vector<Held> held_;
};

}  // namespace mach::experts
