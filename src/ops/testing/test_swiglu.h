// For tests of feed-forward ops: a SwiGLU with random weights, its formula, and a store of experts.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "experts/resident_store.h"
#include "ops/ffn.h"
#include "ops/testing/reference.h"

namespace mach::ops {

struct SwiGluFormats {
  Format gate;
  Format up;
  Format down;
};

struct TestSwiGlu {
  TestMatrix gate;
  TestMatrix up;
  TestMatrix down;

  TestSwiGlu(size_t hidden, size_t width, const SwiGluFormats& f, uint64_t seed)
      : gate(width, hidden, f.gate, seed),
        up(width, hidden, f.up, seed + 1),
        down(hidden, width, f.down, seed + 2) {}
  SwiGlu weights() const { return {gate.tiled(), up.tiled(), down.tiled()}; }
};

inline bool IsInteger(const TestMatrix& w, Compute compute) {
  return compute == Compute::kInt8 && w.layout().affine();
}

// down(silu(gate x) * up x). For an integer product with `down`, its activations h are quantized to
// two planes, the second of which holds the remainder of the first. Where m is the largest
// magnitude of a group, the remainder is at most m / 254, and the second plane is within 1 / 254 of
// that.
inline Row SwiGluOf(const TestSwiGlu& w, const float* x, Compute compute) {
  Row exact;
  for (size_t i = 0; i < w.gate.layout().cols; ++i) exact.push_back(double{x[i]});
  const Row gate = IsInteger(w.gate, compute) ? MatVecInt8(w.gate, x) : MatVec(w.gate, exact);
  const Row up = IsInteger(w.up, compute) ? MatVecInt8(w.up, x) : MatVec(w.up, exact);
  Row h;
  for (size_t i = 0; i < gate.size(); ++i) h.push_back(Silu(gate[i]) * up[i]);
  if (!IsInteger(w.down, compute)) return MatVec(w.down, h);

  const size_t group = w.down.group_size();
  for (size_t begin = 0; begin < h.size(); begin += group) {
    double most = 0;
    for (size_t i = begin; i < begin + group; ++i) most = std::max(most, h[i].most());
    for (size_t i = begin; i < begin + group; ++i) h[i].error += 1.001 * most / (254 * 254);
  }
  Row y;
  for (size_t r = 0; r < w.down.layout().rows; ++r) {
    DotProduct sum;
    for (size_t i = 0; i < h.size(); ++i) {
      sum.Add(w.down.scale(r, i / group) * w.down.code(r, i), h[i]);
      sum.Add(w.down.bias(r, i / group), h[i]);
    }
    y.push_back(sum.Sum());
  }
  return y;
}

// Experts of layer kLayer, and a store that has their records.
class TestExperts {
 public:
  static constexpr LayerId kLayer{1};

  TestExperts(size_t count, size_t hidden, size_t width, const SwiGluFormats& formats) {
    for (size_t e = 0; e < count; ++e) experts_.emplace_back(hidden, width, formats, 100 + 3 * e);
    layout_ = {experts_[0].gate.layout(), experts_[0].up.layout(), experts_[0].down.layout()};
    store_ = *experts::ResidentStore::Create(2, count, layout_.record_bytes(), ledger_);
    for (size_t e = 0; e < count; ++e) {
      const auto to = store_->Record(kLayer, ExpertId(static_cast<uint32_t>(e)));
      const auto put = [&](const TestMatrix& m, size_t offset) {
        std::memcpy(to.data() + offset, m.bytes().data(), m.bytes().size());
      };
      put(experts_[e].gate, 0);
      put(experts_[e].up, layout_.up_offset());
      put(experts_[e].down, layout_.down_offset());
    }
  }
  const TestSwiGlu& operator[](size_t expert) const { return experts_[expert]; }
  const ExpertLayout& layout() const { return layout_; }
  experts::ResidentStore& store() { return *store_; }

 private:
  MemoryLedger ledger_{size_t{64} << 20};
  std::deque<TestSwiGlu> experts_;
  ExpertLayout layout_;
  std::unique_ptr<experts::ResidentStore> store_;
};

}  // namespace mach::ops
