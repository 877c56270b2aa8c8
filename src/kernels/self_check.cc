#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/random.h"
#include "kernels/table.h"
#include "quant/affine.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::kernels {
namespace {

constexpr size_t kRows = 5;    // of activations: blocks of four, and one
constexpr size_t kCols = 128;  // two groups
constexpr int kGroup = 64;
constexpr size_t kOutputs = 84;  // five tiles and a part of a sixth
constexpr size_t kLength = 77;   // of vectors
constexpr size_t kSteps = 3;     // of the delta rule

float Uniform(uint64_t stream, uint64_t i) {
  return static_cast<float>(2 * UniformAt(stream, i) - 1);
}

std::vector<float> Floats(uint64_t stream, size_t n) {
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = Uniform(stream, i);
  return out;
}

// What a kernel of `table` writes, as floats.
using Run = std::function<Result<std::vector<float>>(const KernelTable& table)>;

Result<std::vector<float>> Product(const KernelTable& table, int bits) {
  const size_t groups = kCols / kGroup;
  std::vector<std::byte> packed(kOutputs * kCols * static_cast<size_t>(bits) / 8);
  for (size_t i = 0; i < packed.size(); ++i) {
    packed[i] = static_cast<std::byte>(UniformAt(11, i) * 256);
  }
  const std::vector<float> scales = Floats(12, kOutputs * groups);
  const std::vector<float> biases = Floats(13, kOutputs * groups);
  const quant::AffineView affine{.rows = kOutputs,
                                 .cols = kCols,
                                 .bits = bits,
                                 .group = kGroup,
                                 .scale_type = tensor::DType::kF32,
                                 .packed = packed.data(),
                                 .scales = reinterpret_cast<const std::byte*>(scales.data()),
                                 .biases = reinterpret_cast<const std::byte*>(biases.data())};
  quant::TiledMatrix w{quant::AffineLayout(affine), nullptr};
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(w.layout.bytes()));
  quant::PackAffine(affine, memory.data());
  w.data = memory.data();

  const std::vector<float> x = Floats(14, kRows * kCols);
  std::vector<int8_t> q(kRows * kCols);
  std::vector<float> scale(kRows * groups);
  std::vector<float> sum(kRows * groups);
  for (size_t r = 0; r < kRows; ++r) {
    table.quantize_row(x.data() + r * kCols, kCols, kGroup, q.data() + r * kCols,
                       scale.data() + r * groups, sum.data() + r * groups);
  }
  std::vector<float> out(2 * kRows * kOutputs);
  table.matmul_i8(w, 0, w.layout.tiles(), {q.data(), scale.data(), sum.data(), kCols, groups},
                  kRows, {out.data(), kOutputs});
  table.matmul_f32(w, 0, w.layout.tiles(), {x.data(), kCols}, kRows,
                   {out.data() + kRows * kOutputs, kOutputs});
  return out;
}

Result<std::vector<float>> Vectors(const KernelTable& table) {
  const std::vector<float> x = Floats(21, kLength);
  const std::vector<float> y = Floats(22, kLength);
  std::vector<float> out(5 * kLength);
  float* at = out.data();
  table.rms_norm(x.data(), y.data(), 1e-6f, kLength, at);
  at += kLength;
  table.silu_mul(x.data(), y.data(), kLength, at);
  at += kLength;
  std::memcpy(at, x.data(), kLength * sizeof(float));
  table.softmax(at, kLength);
  at += kLength;
  std::memcpy(at, x.data(), kLength * sizeof(float));
  table.axpy(at, 0.3f, y.data(), kLength);
  at += kLength;
  std::memcpy(at, x.data(), kLength * sizeof(float));
  table.rope(at, y.data(), y.data() + kLength / 2, kLength / 2 * 2);
  return out;
}

Result<std::vector<float>> DeltaRule(const KernelTable& table) {
  constexpr size_t kKeyDim = 64;
  constexpr size_t kPanel = quant::kTileRows;
  std::vector<float> out = Floats(31, kKeyDim * kPanel + kSteps * kPanel);
  const std::vector<float> q = Floats(32, kSteps * kKeyDim);
  const std::vector<float> k = Floats(33, kSteps * kKeyDim);
  const std::vector<float> v = Floats(34, kSteps * kPanel);
  const std::vector<float> gates(kSteps, 0.7f);
  table.delta_rule({.state = out.data(),
                    .key_dim = kKeyDim,
                    .tokens = kSteps,
                    .q = q.data(),
                    .k = k.data(),
                    .qk_stride = kKeyDim,
                    .v = v.data(),
                    .v_stride = kPanel,
                    .decay = gates.data(),
                    .beta = gates.data(),
                    .gate_stride = 1,
                    .out = out.data() + kKeyDim * kPanel,
                    .out_stride = kPanel});
  return out;
}

Result<std::vector<float>> Attention(const KernelTable& table) {
  constexpr size_t kDim = 32;
  constexpr size_t kHeads = 2;
  constexpr size_t kPositions = 37;
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(2 * kDim * kKvBlock * sizeof(float)));
  const KvBlock block{memory.data(), memory.data() + kDim * kKvBlock * sizeof(float)};
  const std::vector<float> kv = Floats(41, 2 * kPositions * kDim);
  for (size_t p = 0; p < kPositions; ++p) {
    table.store_kv(memory.data(), memory.data() + kDim * kKvBlock * sizeof(float), p,
                   kv.data() + 2 * p * kDim, kv.data() + (2 * p + 1) * kDim, kDim, false);
  }
  const std::vector<float> q = Floats(42, kHeads * kDim);
  std::vector<float> scores(kHeads * kKvBlock);
  std::vector<float> out(kHeads * (kDim + 2));
  table.attention({.q = q.data(),
                   .heads = kHeads,
                   .head_dim = kDim,
                   .blocks = &block,
                   .positions = kPositions,
                   .scores = scores.data(),
                   .maximum = out.data(),
                   .sum = out.data() + kHeads,
                   .out = out.data() + 2 * kHeads});
  return out;
}

}  // namespace

Status SelfTest(const KernelTable& table) {
  MACH_TRY(const KernelTable* const scalar, SelectKernels(Isa::kScalar));
  const std::pair<const char*, Run> runs[] = {
      {"the product of 4-bit weights", [](const KernelTable& t) { return Product(t, 4); }},
      {"the product of 8-bit weights", [](const KernelTable& t) { return Product(t, 8); }},
      {"a vector kernel", Vectors},
      {"the delta rule", DeltaRule},
      {"attention", Attention}};
  for (const auto& [name, run] : runs) {
    MACH_TRY(const std::vector<float> found, run(table));
    MACH_TRY(const std::vector<float> expected, run(*scalar));
    if (std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0) continue;
    return Error{Code::kUnsupported, "self-test: " + std::string(name) + " with " +
                                         std::string(IsaName(table.isa)) +
                                         " does not give what the scalar code gives; the processor "
                                         "or its emulation is faulty; choose another with --isa"};
  }
  return Ok();
}

}  // namespace mach::kernels
