// Feed-forward layers: dense SwiGLU, and mixtures of experts with a shared expert.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "experts/expert_store.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace mach::ops {

// down(silu(gate x) * up x). gate and up [width, hidden], down [hidden, width].
struct SwiGlu {
  quant::TiledMatrix gate;
  quant::TiledMatrix up;
  quant::TiledMatrix down;
};

// How one expert lies in a record: gate, up, down in tile layout, one after the other, each on a
// cache line. All experts of a model have the same layout.
struct ExpertLayout {
  quant::TiledLayout gate;
  quant::TiledLayout up;
  quant::TiledLayout down;

  size_t up_offset() const { return RoundUp(gate.bytes(), kCacheLineBytes); }
  size_t down_offset() const { return up_offset() + RoundUp(up.bytes(), kCacheLineBytes); }
  // Records are whole pages, for direct reads.
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
  bool normalize = true;    // the chosen weights sum to 1
};

// Non-owning; valid as long as the model.
struct MoeWeights {
  quant::TiledMatrix router;       // [experts, hidden]
  SwiGlu shared;                   // when shared_width != 0
  quant::TiledMatrix shared_gate;  // [1, hidden]
  ExpertLayout layout;             // of the routed experts' records
};

// Buffers of Moe that are not in the arena. Owned by the forward pass; ReserveMoe makes room in
// them.
struct MoeScratch {
  experts::Acquisition acquisition;
  std::vector<ExpertId> ids;         // distinct experts of the rows, ascending
  std::vector<uint32_t> first_pair;  // of ids[i], and one past the last
  std::vector<uint32_t> pair_token;  // pairs sorted by expert, then token
  std::vector<uint32_t> pair_of;     // [rows, top_k] -> pair
  std::vector<uint32_t> next_pair;   // by expert, while sorting
};

// Which experts each row chose: ids [rows, top_k] in order of falling probability, and their
// weights.
struct Routing {
  ExpertId* ids = nullptr;
  float* weights = nullptr;
};

// p = softmax(router x) in float32; the top_k, ties to the lower index; weights p or p / sum p.
void Route(Context& ctx, const MoeShape& shape, const quant::TiledMatrix& router, Activations& x,
           const Routing& out);

// Asks the store for the experts of a layer, so that its reads begin; Moe comes next. Errors are
// the store's.
Status AcquireExperts(const MoeShape& shape, LayerId layer, experts::ExpertStore& store,
                      MoeScratch& scratch, size_t rows, const Routing& routing);

// out[r] = sum over k in order of weights[r, k] * expert(x[r]), plus sigmoid(shared_gate x) *
// shared(x). Experts compute as the store makes them ready; the sum does not depend on that order.
// Errors are the store's. REQUIRES: AcquireExperts with the same routing was the store's last
// acquisition.
Status Moe(Context& ctx, const MoeShape& shape, const MoeWeights& w, experts::ExpertStore& store,
           MoeScratch& scratch, Activations& x, const Routing& routing, float* out);

// out = swiglu(x), [rows, hidden].
void DenseFfn(Context& ctx, const SwiGlu& w, Activations& x, float* out);

// Makes room for up to `rows` rows, so that AcquireExperts and Moe do not allocate. Called while
// the workspace is made, once for each shape.
void ReserveMoe(const MoeShape& shape, size_t rows, Context& ctx, MoeScratch& scratch);

// Arena bytes for up to `rows` rows.
size_t MoeScratchBytes(const MoeShape& shape, size_t rows);
size_t DenseFfnScratchBytes(size_t hidden, size_t width, size_t rows);

}  // namespace mach::ops
