// Every kernel, behind one table of function pointers; nothing above this module is compiled per
// ISA.
//
// Order of reduction (DESIGN promise 1). Each output element is computed in one order that depends
// on nothing but the shape of its own reduction: not on the number of rows, the tile range, the
// threads, or the ISA. Matrix kernels and attention keep one output in one vector lane; reductions
// along a vector use 16 partial sums (element i goes to sum i % 16), folded 8, 4, 2, 1 apart.
// Products are accumulated with fused multiply-add. So the tables of all ISAs agree bit for bit,
// and with the scalar one.
//
// All pointers are valid for what is described, need no alignment unless stated, and do not alias
// unless stated. Kernels neither allocate nor fail; shapes were checked above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quant/tiled.h"

namespace mach::kernels {

enum class Isa : uint8_t { kScalar, kAvx2, kAvx512, kAvx512Vnni, kNeon };
std::string_view IsaName(Isa isa);  // "scalar", "avx2", "avx512", "avx512_vnni", "neon"
std::optional<Isa> IsaFromName(std::string_view name);

// Activations quantized by quantize_row: row r has codes q + r * q_stride (cols codes), and for
// each group of the weight's size a scale and a sum at r * group_stride.
//   x[k] ~ scale[k / group] * q[k];   sum[g] = scale[g] * (float)(sum of q over the group)
struct QuantizedRows {
  const int8_t* q = nullptr;
  const float* scale = nullptr;
  const float* sum = nullptr;
  size_t q_stride = 0;
  size_t group_stride = 0;
};

struct FloatRows {
  const float* data = nullptr;
  size_t stride = 0;  // elements between rows
};

// Where out[r, row of the matrix] goes: data + r * stride + row. Rows past the matrix are not
// written.
struct OutputRows {
  float* data = nullptr;
  size_t stride = 0;
};

inline constexpr size_t kKvBlock = 64;          // positions of a KV block
inline constexpr size_t kAttentionSpan = 1024;  // positions that one partial result covers

// One KV head's part of one KV block. k is transposed, [head_dim, kKvBlock], so that a vector holds
// one dimension of neighbouring positions; v is [kKvBlock, head_dim]. Elements are f32 or f16.
struct KvBlock {
  const std::byte* k = nullptr;
  const std::byte* v = nullptr;
};

// The query heads that share one KV head, against positions [first, positions) of it, positions <=
// kAttentionSpan. A score is one sum over ascending dimensions, an output one over ascending
// positions. With no position the maximum is -infinity, the sum and out are 0.
struct AttentionArgs {
  const float* q = nullptr;  // [heads, head_dim], already scaled
  size_t heads = 0;          // query heads of this KV head
  size_t head_dim = 0;
  const KvBlock* blocks = nullptr;
  size_t first = 0;  // positions before it do not count (sliding windows)
  size_t positions = 0;
  bool f16 = false;
  float* scores = nullptr;  // scratch [heads, RoundUp(positions, kKvBlock)]
  // Partial result: per head the maximum score, the sum of exp(score - maximum), and the sum of
  // exp(score - maximum) * v.
  float* maximum = nullptr;  // [heads]
  float* sum = nullptr;      // [heads]
  float* out = nullptr;      // [heads, head_dim]
};

// The gated delta rule over `tokens` steps for one panel of 16 value columns of one head
// (architectures.md 1.3). state: [key_dim, 16], updated in place. Step t:
//   S *= decay[t];  d = beta[t] * (v[t] - S^T k[t]);  S += k[t] d^T;  out[t] = S^T q[t]
// computed as d = beta * fma(-decay, S^T k, v); S = fma(k, d, S * decay), with four partial sums
// over the key dimension as in matmul_f32.
// q and k are rows of key_dim floats at the given stride; v and out are [tokens, 16] at theirs.
// out may be null (replay of accepted steps).
struct DeltaRuleArgs {
  float* state = nullptr;
  size_t key_dim = 0;
  size_t tokens = 0;
  const float* q = nullptr;
  const float* k = nullptr;
  size_t qk_stride = 0;
  const float* v = nullptr;
  size_t v_stride = 0;
  const float* decay = nullptr;  // [tokens] at gate_stride
  const float* beta = nullptr;   // [tokens] at gate_stride
  size_t gate_stride = 0;
  float* out = nullptr;
  size_t out_stride = 0;
};

// The kernels of one source file. Each instruction set has one constant object of each group.
struct MatmulI8Kernels {
  // out[r, n] = sum_k w[n, k] * x[r, k] for n in tiles [tile_begin, tile_end), with integer dots:
  //   acc = 0; for each group g: acc = fma((float)dot, w_scale * x_scale, acc); acc = fma(w_bias,
  //   x_sum, acc)
  // REQUIRES: w is affine and x was quantized with w's group.
  void (*matmul_i8)(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end,
                    const QuantizedRows& x, size_t rows, const OutputRows& out) = nullptr;

  // Byte dot products as matmul_i8 issues them, on registers alone, `rounds` times; returns the
  // products (multiply-accumulates) of all rounds: what a benchmark divides by. nullptr: scalar
  // code.
  uint64_t (*probe_dots)(size_t rounds) = nullptr;
};

struct MatmulF32Kernels {
  // The product of matmul_i8 in f32, for every format: w as UnpackRow gives it, four partial sums
  // a[k % 4], each acc = fma(x[k], w[k], acc) in ascending k, result (a[0] + a[1]) + (a[2] + a[3]).
  void (*matmul_f32)(const quant::TiledMatrix& w, size_t tile_begin, size_t tile_end,
                     const FloatRows& x, size_t rows, const OutputRows& out) = nullptr;
};

struct VectorKernels {
  // Symmetric int8 per group: scale = max|x| / 127, q = round to nearest even of x / scale
  // (computed as x * (127 / max|x|)); a group without a magnitude of 2^-100 counts as all zero and
  // gets scale 0. One with NaN or infinity gets codes 0, and NaN as its scale and sum.
  // REQUIRES: group (32, 64 or 128) divides cols.
  void (*quantize_row)(const float* x, size_t cols, size_t group, int8_t* q, float* scale,
                       float* sum) = nullptr;

  // The norms multiply by the reciprocal of the root, then by what follows it from left to right.
  // out = x / sqrt(mean(x^2) + eps) * weight. out may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* out) = nullptr;
  // out = x / sqrt(mean(x^2) + eps) * weight * silu(z). out may be x.
  void (*rms_norm_gated)(const float* x, const float* weight, const float* z, float eps, size_t n,
                         float* out) = nullptr;
  // out = x / sqrt(sum(x^2) + eps) * scale. out may be x.
  void (*l2_norm)(const float* x, float eps, float scale, size_t n, float* out) = nullptr;
  // x * sigmoid(y) is computed as x / (1 + exp(-y)); silu(x) = x * sigmoid(x).
  // out = silu(gate) * up. out may be gate or up.
  void (*silu_mul)(const float* gate, const float* up, size_t n, float* out) = nullptr;
  // x *= sigmoid(gate).
  void (*sigmoid_mul)(float* x, const float* gate, size_t n) = nullptr;
  void (*add)(float* x, const float* y, size_t n) = nullptr;            // x += y
  void (*axpy)(float* x, float a, const float* y, size_t n) = nullptr;  // x = fma(a, y, x)
  // Rotates the first `rotary` of a head's dimensions: pairs (i, i + rotary/2), i < rotary/2,
  //   a' = fma(a, cos[i], -(b sin[i])),  b' = fma(b, cos[i], a sin[i]).
  void (*rope)(float* head, const float* cos, const float* sin, size_t rotary) = nullptr;
  // In place: exp(x - max) / sum. REQUIRES: n > 0.
  void (*softmax)(float* x, size_t n) = nullptr;
  // out[c] = silu(sum_j weight[j, c] * rows[j][c]), j = 0 .. taps-1 ascending, for c < channels.
  void (*conv_silu)(const float* const* rows, const float* weight, size_t taps, size_t channels,
                    float* out) = nullptr;
};

struct AttentionKernels {
  void (*attention)(const AttentionArgs& args) = nullptr;
  // Folds a partial result into another: (maximum, sum, out[dim]) of one head, in place into the
  // first. A sink logit is the partial result (logit, 1, zeros).
  void (*attention_merge)(float* maximum, float* sum, float* out, const float* maximum2,
                          const float* sum2, const float* out2, size_t dim) = nullptr;
  // Writes k and v [head_dim] of one position into a KV block (column of k, row of v).
  void (*store_kv)(std::byte* k_block, std::byte* v_block, size_t position, const float* k,
                   const float* v, size_t head_dim, bool f16) = nullptr;
};

struct DeltaRuleKernels {
  void (*delta_rule)(const DeltaRuleArgs& args) = nullptr;
};

struct KernelTable : MatmulI8Kernels,
                     MatmulF32Kernels,
                     VectorKernels,
                     AttentionKernels,
                     DeltaRuleKernels {
  Isa isa = Isa::kScalar;
};

// Best first; kScalar is last and always there.
std::vector<Isa> AvailableIsas();

// The table for `forced`, or for the best ISA of this machine. kUnsupported, naming what this
// machine has, when it cannot run the forced one.
Result<const KernelTable*> SelectKernels(std::optional<Isa> forced = std::nullopt);

// Runs kernels of the table on small inputs, odd sizes among them, against the scalar ones, which
// every table equals bit for bit. Takes a millisecond or two. kUnsupported names what differs.
Status SelfTest(const KernelTable& table);

}  // namespace mach::kernels
