// Recorded expert choices, and what a bank of some size would have made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "experts/eviction.h"

namespace mach::experts {

// One forward pass: which experts each row chose in each layer with experts.
struct TracePass {
  uint32_t rows = 0;
  std::vector<uint16_t> ids;  // [layers, rows, top_k]
};

// File format, version 1: the line
//   mach-expert-trace 1 layers=L experts=E top_k=K
// then the passes one after the other: rows as 4 bytes, little-endian, and the ids [L, rows, K],
// one byte each when E <= 256, else two, little-endian.
struct Trace {
  size_t layers = 0;  // with experts, in the order of the forward pass
  size_t experts = 0;
  size_t top_k = 0;
  std::vector<TracePass> passes;

  std::span<const uint16_t> Choices(const TracePass& pass, size_t layer) const {
    return std::span(pass.ids).subspan(layer * pass.rows * top_k, pass.rows * top_k);
  }
};

// Adds to a trace as a forward pass goes from layer to layer.
class TraceRecorder {
 public:
  explicit TraceRecorder(Trace& trace) : trace_(trace) {}
  // ids: [rows, top_k] of the next layer with experts. A new pass begins after the last layer.
  void OnLayer(std::span<const ExpertId> ids);

 private:
  Trace& trace_;
  size_t layer_ = 0;
};

std::string FormatTrace(const Trace& trace);
// kCorrupt when the bytes are no trace; the message says where.
Result<Trace> ParseTrace(std::string_view bytes);

struct ReplayResult {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t bypassed = 0;  // misses that found every slot in use by their own pass
  double hit_rate() const {
    return hits + misses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(hits + misses);
  }
};

// The passes of at most max_rows rows through an empty bank of so many slots; the distinct experts
// of a layer are pinned until the layer is done.
ReplayResult Replay(const Trace& trace, size_t slots, EvictionPolicy& policy, size_t max_rows);
// The same with foresight: the victim is the expert whose next use is farthest away (Belady, IBM
// Systems Journal 1966). No policy can hit more often.
ReplayResult ReplayOptimal(const Trace& trace, size_t slots, size_t max_rows);

}  // namespace mach::experts
