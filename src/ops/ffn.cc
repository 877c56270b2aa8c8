#include "ops/ffn.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/math.h"
#include "ops/rows.h"
#include "quant/tiled.h"

namespace mach::ops {
namespace {

size_t GroupOf(const quant::TiledMatrix& w) { return static_cast<size_t>(w.layout.group); }

// The activations of a product, in the form that the weights need.
struct Operand {
  bool int8 = false;
  kernels::QuantizedRows quantized;
  kernels::FloatRows floats;

  // The rows from `row` on.
  Operand From(size_t row) const {
    Operand o = *this;
    if (int8) {
      o.quantized.q += row * quantized.q_stride;
      o.quantized.scale += row * quantized.group_stride;
      o.quantized.sum += row * quantized.group_stride;
    } else {
      o.floats.data += row * floats.stride;
    }
    return o;
  }
};

Operand AllRows(Context& ctx, const quant::TiledMatrix& w, Activations& x) {
  Operand o;
  o.int8 = UsesInt8(w, ctx.compute);
  if (o.int8) o.quantized = x.Quantized(ctx, GroupOf(w));
  o.floats = x.floats();
  return o;
}

// Row p of the result is row rows[p] of x.
Operand Gathered(Context& ctx, const quant::TiledMatrix& w, Activations& x,
                 std::span<const uint32_t> rows) {
  Operand o;
  o.int8 = UsesInt8(w, ctx.compute);
  const size_t cols = x.cols();
  if (!o.int8) {
    auto* data = ctx.arena.Take<float>(rows.size() * cols);
    ctx.pool.ParallelFor(rows.size(), RowGrain(cols), [&](size_t begin, size_t end, size_t) {
      for (size_t p = begin; p < end; ++p) std::memcpy(data + p * cols, x.row(rows[p]), cols * 4);
    });
    o.floats = {data, cols};
    return o;
  }
  const kernels::QuantizedRows& from = x.Quantized(ctx, GroupOf(w));
  const size_t groups = cols / GroupOf(w);
  auto* codes = ctx.arena.Take<int8_t>(rows.size() * cols);
  auto* scales = ctx.arena.Take<float>(rows.size() * groups);
  auto* sums = ctx.arena.Take<float>(rows.size() * groups);
  ctx.pool.ParallelFor(rows.size(), RowGrain(cols), [&](size_t begin, size_t end, size_t) {
    for (size_t p = begin; p < end; ++p) {
      std::memcpy(codes + p * cols, from.q + rows[p] * from.q_stride, cols);
      std::memcpy(scales + p * groups, from.scale + rows[p] * from.group_stride, groups * 4);
      std::memcpy(sums + p * groups, from.sum + rows[p] * from.group_stride, groups * 4);
    }
  });
  o.quantized = {codes, scales, sums, cols, groups};
  return o;
}

void Multiply(Context& ctx, const quant::TiledMatrix& w, size_t begin, size_t end, const Operand& x,
              size_t rows, float* out) {
  const kernels::OutputRows to{out, w.layout.rows};
  if (x.int8) {
    ctx.kernels.matmul_i8(w, begin, end, x.quantized, rows, to);
  } else {
    ctx.kernels.matmul_f32(w, begin, end, x.floats, rows, to);
  }
}

// silu(gate) * up has outliers, and 8 bits per group leave little precision to the other values of
// an outlier's group. So a row that enters an integer product with `down` is quantized to two
// planes: the codes of the row, and the codes of the remainder. The product of the row is the sum
// of both. The weights are read once for both planes, and a decode pass is bound by reading them.
constexpr size_t kPlanes = 2;

// Intermediate values of a SwiGlu for `rows` rows.
struct Buffers {
  float* gate;    // [rows, width]
  float* up;      // [rows, width]
  size_t planes;  // kPlanes for an integer product with `down`, else 1
  float* out;     // [rows, planes, hidden]; the result is the sum over the planes
  int8_t* codes;  // [rows, planes, width]
  float* scales;  // [rows, planes, groups]
  float* sums;    // [rows, planes, groups]
};

// A SwiGlu (a routed expert, the shared expert or a dense layer) and its rows.
struct Item {
  SwiGlu w;
  Operand gate_x;
  Operand up_x;
  size_t rows;
  Buffers buffers;

  size_t width() const { return w.gate.layout.rows; }
};

size_t InnerGroups(const SwiGlu& w) {
  return w.down.layout.affine() ? w.down.layout.cols / GroupOf(w.down) : 0;
}

Buffers TakeBuffers(Context& ctx, const SwiGlu& w, size_t rows) {
  Buffers b{};
  const size_t width = w.gate.layout.rows;
  b.planes = UsesInt8(w.down, ctx.compute) ? kPlanes : 1;
  const size_t planes = rows * b.planes;
  b.gate = ctx.arena.Take<float>(rows * width);
  b.up = ctx.arena.Take<float>(rows * width);
  b.out = ctx.arena.Take<float>(planes * w.down.layout.rows);
  if (b.planes == kPlanes) {
    b.codes = ctx.arena.Take<int8_t>(planes * width);
    b.scales = ctx.arena.Take<float>(planes * InnerGroups(w));
    b.sums = ctx.arena.Take<float>(planes * InnerGroups(w));
  }
  return b;
}

size_t BufferBytes(size_t hidden, size_t width, size_t rows) {
  const size_t planes = rows * kPlanes;
  return 2 * Arena::Footprint<float>(rows * width) + Arena::Footprint<float>(planes * hidden) +
         Arena::Footprint<int8_t>(planes * width) +
         2 * Arena::Footprint<float>(planes * (width / 32));
}

Buffers From(const Buffers& b, const SwiGlu& w, size_t row) {
  const size_t width = w.gate.layout.rows;
  Buffers o = b;
  o.gate += row * width;
  o.up += row * width;
  o.out += row * b.planes * w.down.layout.rows;
  if (b.planes == kPlanes) {
    o.codes += row * kPlanes * width;
    o.scales += row * kPlanes * InnerGroups(w);
    o.sums += row * kPlanes * InnerGroups(w);
  }
  return o;
}

Operand Inner(const Item& item) {
  const Buffers& b = item.buffers;
  Operand o;
  o.int8 = b.planes == kPlanes;
  o.quantized = {b.codes, b.scales, b.sums, item.width(), InnerGroups(item.w)};
  o.floats = {b.gate, item.width()};
  return o;
}

// Quantizes one row to both planes. x becomes the remainder of the first plane.
void QuantizePlanes(Context& ctx, float* x, size_t width, size_t group, int8_t* codes,
                    float* scales, float* sums) {
  const size_t groups = width / group;
  ctx.kernels.quantize_row(x, width, group, codes, scales, sums);
  for (size_t g = 0; g < groups; ++g) {
    const float scale = scales[g];
    for (size_t i = g * group; i < (g + 1) * group; ++i) {
      x[i] -= scale * static_cast<float>(codes[i]);
    }
  }
  ctx.kernels.quantize_row(x, width, group, codes + width, scales + groups, sums + groups);
}

// Computes all items together: the threads synchronize three times in all, not for each expert.
void RunItems(Context& ctx, std::span<const Item> items) {
  TileWork& work = ctx.tiles;
  work.Clear();
  size_t rows = 0;
  size_t widest = 1;
  for (const Item& item : items) {
    widest = std::max(widest, item.width());
    work.Add(item.w.gate.layout.tiles(), TileCost(item.w.gate.layout, item.rows));
    work.Add(item.w.up.layout.tiles(), TileCost(item.w.up.layout, item.rows));
    rows += item.rows;
  }
  work.Run(ctx.pool, [&](size_t i, size_t begin, size_t end) {
    const Item& item = items[i / 2];
    if (i % 2 == 0) {
      Multiply(ctx, item.w.gate, begin, end, item.gate_x, item.rows, item.buffers.gate);
    } else {
      Multiply(ctx, item.w.up, begin, end, item.up_x, item.rows, item.buffers.up);
    }
  });

  ctx.pool.ParallelFor(rows, RowGrain(widest, 8), [&](size_t begin, size_t end, size_t) {
    size_t first = 0;  // the item's first row among the rows of all items
    for (const Item& item : items) {
      const size_t width = item.width();
      const Buffers& b = item.buffers;
      const size_t stop = std::min(end, first + item.rows);
      for (size_t r = std::max(begin, first); r < stop; ++r) {
        const size_t at = r - first;
        float* gate = b.gate + at * width;
        ctx.kernels.silu_mul(gate, b.up + at * width, width, gate);
        if (b.planes != kPlanes) continue;
        const size_t groups = InnerGroups(item.w);
        QuantizePlanes(ctx, gate, width, GroupOf(item.w.down), b.codes + at * kPlanes * width,
                       b.scales + at * kPlanes * groups, b.sums + at * kPlanes * groups);
      }
      first += item.rows;
    }
  });

  work.Clear();
  for (const Item& item : items) {
    work.Add(item.w.down.layout.tiles(),
             TileCost(item.w.down.layout, item.rows * item.buffers.planes));
  }
  work.Run(ctx.pool, [&](size_t i, size_t begin, size_t end) {
    const Item& item = items[i];
    Multiply(ctx, item.w.down, begin, end, Inner(item), item.rows * item.buffers.planes,
             item.buffers.out);
  });
}

// to += weight * (output of one row), one plane after the other.
void AddPlanes(Context& ctx, float* to, float weight, const Buffers& b, size_t row, size_t hidden) {
  for (size_t plane = 0; plane < b.planes; ++plane) {
    ctx.kernels.axpy(to, weight, b.out + (row * b.planes + plane) * hidden, hidden);
  }
}

// Sorts the pairs by expert, then row, and lists the distinct experts (MoeScratch).
void GroupPairs(const MoeShape& shape, size_t rows, const Routing& routing, MoeScratch& s) {
  const size_t pairs = rows * shape.top_k;
  std::vector<uint32_t>& next = s.next_pair;
  next.assign(shape.experts + 1, 0);
  for (size_t i = 0; i < pairs; ++i) ++next[Index(routing.ids[i]) + 1];
  s.ids.clear();
  s.first_pair.clear();
  for (size_t e = 0; e < shape.experts; ++e) {
    if (next[e + 1] != 0) {
      s.ids.push_back(ExpertId(static_cast<uint32_t>(e)));
      s.first_pair.push_back(next[e]);
    }
    next[e + 1] += next[e];
  }
  s.first_pair.push_back(static_cast<uint32_t>(pairs));
  s.pair_token.resize(pairs);
  s.pair_of.resize(pairs);
  for (size_t i = 0; i < pairs; ++i) {
    const uint32_t pair = next[Index(routing.ids[i])]++;
    s.pair_token[pair] = static_cast<uint32_t>(i / shape.top_k);
    s.pair_of[i] = pair;
  }
}

}  // namespace

void Route(Context& ctx, const MoeShape& shape, const quant::TiledMatrix& router, Activations& x,
           const Routing& out) {
  const ArenaScope scope(ctx.arena);
  auto* scores = ctx.arena.Take<float>(x.rows() * shape.experts);
  Linear(ctx, x, {{&router, {scores, shape.experts}}}, Compute::kF32);
  ctx.pool.ParallelFor(x.rows(), RowGrain(shape.experts, 4), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      float* p = scores + r * shape.experts;
      ctx.kernels.softmax(p, shape.experts);
      ExpertId* ids = out.ids + r * shape.top_k;
      float* weights = out.weights + r * shape.top_k;
      // Insertion into a short sorted list. An expert goes behind those of equal probability.
      size_t held = 0;
      for (size_t e = 0; e < shape.experts; ++e) {
        if (held == shape.top_k && !(p[e] > weights[held - 1])) continue;
        size_t at = held < shape.top_k ? held++ : held - 1;
        for (; at > 0 && p[e] > weights[at - 1]; --at) {
          weights[at] = weights[at - 1];
          ids[at] = ids[at - 1];
        }
        weights[at] = p[e];
        ids[at] = ExpertId(static_cast<uint32_t>(e));
      }
      if (!shape.normalize) continue;
      float sum = 0;
      for (size_t k = 0; k < shape.top_k; ++k) sum += weights[k];
      for (size_t k = 0; k < shape.top_k; ++k) weights[k] /= sum;
    }
  });
}

Status AcquireExperts(const MoeShape& shape, LayerId layer, experts::ExpertStore& store,
                      MoeScratch& scratch, size_t rows, const Routing& routing) {
  GroupPairs(shape, rows, routing, scratch);
  return store.Acquire({layer, scratch.ids, scratch.pair_token, scratch.first_pair},
                       scratch.acquisition);
}

Status Moe(Context& ctx, const MoeShape& shape, const MoeWeights& w, experts::ExpertStore& store,
           MoeScratch& scratch, Activations& x, const Routing& routing, float* out) {
  const ArenaScope scope(ctx.arena);
  const size_t rows = x.rows();
  experts::Acquisition& acquired = scratch.acquisition;

  // A record's layout is known before its bytes are there.
  const SwiGlu shape_only{
      {w.layout.gate, nullptr}, {w.layout.up, nullptr}, {w.layout.down, nullptr}};
  const auto operand = [&](const quant::TiledMatrix& m) {
    return rows == 1 ? AllRows(ctx, m, x) : Gathered(ctx, m, x, scratch.pair_token);
  };
  const Operand gate_x = operand(shape_only.gate);
  const bool same =
      UsesInt8(shape_only.gate, ctx.compute) == UsesInt8(shape_only.up, ctx.compute) &&
      w.layout.gate.group == w.layout.up.group;
  const Operand up_x = same ? gate_x : operand(shape_only.up);
  const Buffers pairs = TakeBuffers(ctx, shape_only, rows * shape.top_k);
  Item* items = ctx.arena.Take<Item>(scratch.ids.size() + 1);
  size_t count = 0;

  Buffers shared{};
  float* shared_gate = nullptr;
  if (shape.shared_width != 0) {
    shared_gate = ctx.arena.Take<float>(rows);
    Linear(ctx, x, {{&w.shared_gate, {shared_gate, 1}}}, Compute::kF32);
    shared = TakeBuffers(ctx, w.shared, rows);
    items[count++] = {w.shared, AllRows(ctx, w.shared.gate, x), AllRows(ctx, w.shared.up, x), rows,
                      shared};
  }
  while (true) {
    for (const uint32_t i : acquired.ready()) {
      const size_t first = scratch.first_pair[i];
      const SwiGlu expert = w.layout.View(acquired.Bytes(i));
      const bool gathered = rows != 1;
      items[count++] = {expert, gathered ? gate_x.From(first) : gate_x,
                        gathered ? up_x.From(first) : up_x, scratch.first_pair[i + 1] - first,
                        From(pairs, expert, first)};
    }
    RunItems(ctx, {items, count});
    if (acquired.complete()) break;
    MACH_RETURN_IF_ERROR(store.Wait(acquired));
    count = 0;
  }
  acquired.Clear();

  const size_t terms = 2 * (shape.top_k + (shape.shared_width == 0 ? 0 : 1));
  ctx.pool.ParallelFor(rows, RowGrain(shape.hidden, terms), [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      float* to = out + r * shape.hidden;
      std::fill_n(to, shape.hidden, 0.0f);
      for (size_t k = 0; k < shape.top_k; ++k) {
        const size_t i = r * shape.top_k + k;
        AddPlanes(ctx, to, routing.weights[i], pairs, scratch.pair_of[i], shape.hidden);
      }
      if (shape.shared_width == 0) continue;
      AddPlanes(ctx, to, kernels::SigmoidMul(1.0f, shared_gate[r]), shared, r, shape.hidden);
    }
  });
  return Ok();
}

void DenseFfn(Context& ctx, const SwiGlu& w, Activations& x, float* out) {
  const ArenaScope scope(ctx.arena);
  const Item item{w, AllRows(ctx, w.gate, x), AllRows(ctx, w.up, x), x.rows(),
                  TakeBuffers(ctx, w, x.rows())};
  RunItems(ctx, {&item, 1});
  const size_t hidden = w.down.layout.rows;
  ctx.pool.ParallelFor(x.rows(), RowGrain(hidden, 2), [&](size_t begin, size_t end, size_t) {
    std::fill(out + begin * hidden, out + end * hidden, 0.0f);
    for (size_t r = begin; r < end; ++r) {
      AddPlanes(ctx, out + r * hidden, 1.0f, item.buffers, r, hidden);
    }
  });
}

void ReserveMoe(const MoeShape& s, size_t rows, Context& ctx, MoeScratch& scratch) {
  const size_t pairs = rows * s.top_k;
  const size_t distinct = std::min(pairs, s.experts);
  ctx.tiles.Reserve(2 * (distinct + 1));  // gate and up of each expert and of the shared one
  scratch.ids.reserve(distinct);
  scratch.first_pair.reserve(distinct + 1);
  scratch.pair_token.reserve(pairs);
  scratch.pair_of.reserve(pairs);
  scratch.next_pair.reserve(s.experts + 1);
}

size_t MoeScratchBytes(const MoeShape& s, size_t rows) {
  const size_t pairs = rows * s.top_k;
  return Arena::Footprint<float>(rows * s.experts) + Activations::ScratchBytes(rows, s.hidden) +
         2 * Arena::Footprint<float>(pairs * s.hidden) + BufferBytes(s.hidden, s.width, pairs) +
         Arena::Footprint<Item>(s.experts + 1) + Arena::Footprint<float>(rows) +
         BufferBytes(s.hidden, s.shared_width, rows);
}

size_t DenseFfnScratchBytes(size_t hidden, size_t width, size_t rows) {
  return Activations::ScratchBytes(rows, hidden) + BufferBytes(hidden, width, rows);
}

}  // namespace mach::ops
