// Feed-forward layers: a dense SwiGLU, and a mixture of experts with an optional shared expert.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "experts/expert_store.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "quant/tiled.h"

namespace mach::ops {

// swiglu(x) = down(silu(gate x) * up x).
struct SwiGlu {
  quant::TiledMatrix gate;  // [width, hidden]
  quant::TiledMatrix up;    // [width, hidden]
  quant::TiledMatrix down;  // [hidden, width]
};

// Layout of one expert in a record: gate, up and down in tile layout, one after the other, each
// aligned to a cache line. All experts of a model have the same layout.
struct ExpertLayout {
  quant::TiledLayout gate;
  quant::TiledLayout up;
  quant::TiledLayout down;

  size_t up_offset() const { return RoundUp(gate.bytes(), kCacheLineBytes); }
  size_t down_offset() const { return up_offset() + RoundUp(up.bytes(), kCacheLineBytes); }
  // A record is whole pages, as direct reads need.
  size_t record_bytes() const { return RoundUp(down_offset() + down.bytes(), kPageBytes); }
  SwiGlu View(std::span<const std::byte> record) const {
    return {{gate, record.data()},
            {up, record.data() + up_offset()},
            {down, record.data() + down_offset()}};
  }
  bool operator==(const ExpertLayout&) const = default;
};

struct MoeShape {
  size_t hidden = 0;
  size_t experts = 0;
  size_t top_k = 0;
  size_t width = 0;         // of an expert
  size_t shared_width = 0;  // 0: no shared expert
  bool normalize = true;    // the weights of the chosen experts are divided by their sum
};

// Not owned; valid as long as the model.
struct MoeWeights {
  quant::TiledMatrix router;       // [experts, hidden]
  SwiGlu shared;                   // empty when shared_width == 0, as the next
  quant::TiledMatrix shared_gate;  // [1, hidden]
  ExpertLayout layout;             // of the routed experts' records
};

// Scratch of AcquireExperts and Moe outside the arena. Owned by the forward pass. ReserveMoe makes
// room in it. A pair is a (row, k) of the routing; pairs are numbered by expert, then row.
struct MoeScratch {
  experts::Acquisition acquisition;
  std::vector<ExpertId> ids;         // distinct experts of the rows, ascending
  std::vector<uint32_t> first_pair;  // of ids[i]; then the number of pairs
  std::vector<uint32_t> pair_token;  // row of each pair
  std::vector<uint32_t> pair_of;     // pair of each (row, k): [rows, top_k]
  std::vector<uint32_t> next_pair;   // by expert; used while pairs are sorted
};

// The experts that each row chose, by falling probability, and their weights.
struct Routing {
  ExpertId* ids = nullptr;   // [rows, top_k]
  float* weights = nullptr;  // [rows, top_k]
};

// p = softmax(router x), in float32 whatever the context computes in. Chooses the top_k largest of
// p, of equal ones the lower index first; the weights are p, or p / (sum of the chosen p) with
// shape.normalize.
void Route(Context& ctx, const MoeShape& shape, const quant::TiledMatrix& router, Activations& x,
           const Routing& out);

// Requests the experts of `rows` rows of a layer from the store, each distinct one once, in
// ascending order, so that their reads start. Errors are the store's.
Status AcquireExperts(const MoeShape& shape, LayerId layer, experts::ExpertStore& store,
                      MoeScratch& scratch, size_t rows, const Routing& routing);

// out[r] = sum over k of weights[r, k] * swiglu of expert ids[r, k] (x[r])
//          + sigmoid(shared_gate x[r]) * swiglu of shared (x[r])
// The sum is in the order of k, the shared expert last, in whatever order the store makes experts
// ready; each is computed as it becomes ready. x, out: [rows, hidden]. Errors are the store's.
// REQUIRES: the last acquisition from the store was AcquireExperts with the same rows and routing.
Status Moe(Context& ctx, const MoeShape& shape, const MoeWeights& w, experts::ExpertStore& store,
           MoeScratch& scratch, Activations& x, const Routing& routing, float* out);

// out = swiglu(x). x, out: [rows, hidden].
void DenseFfn(Context& ctx, const SwiGlu& w, Activations& x, float* out);

// Makes room for up to `rows` rows, so that AcquireExperts and Moe do not allocate. Called once for
// each shape, before the first pass.
void ReserveMoe(const MoeShape& shape, size_t rows, Context& ctx, MoeScratch& scratch);

// Arena bytes for up to `rows` rows; of MoE layers, Route's included.
size_t MoeScratchBytes(const MoeShape& shape, size_t rows);
size_t DenseFfnScratchBytes(size_t hidden, size_t width, size_t rows);

}  // namespace mach::ops
