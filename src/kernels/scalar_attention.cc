#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/math.h"
#include "kernels/scalar.h"
#include "tensor/dtype.h"

namespace mach::kernels {
namespace {

float LoadElement(const std::byte* p, size_t i, bool f16) {
  return f16 ? tensor::LoadFloat(tensor::DType::kF16, p + 2 * i)
             : tensor::LoadFloat(tensor::DType::kF32, p + 4 * i);
}

void StoreElement(std::byte* p, size_t i, float value, bool f16) {
  if (f16) {
    const uint16_t half = tensor::F32ToF16(value);
    std::memcpy(p + 2 * i, &half, 2);
  } else {
    std::memcpy(p + 4 * i, &value, 4);
  }
}

void AttendHead(const AttentionArgs& a, size_t head) {
  const float* q = a.q + head * a.head_dim;
  float* scores = a.scores + head * ((a.positions + kKvBlock - 1) / kKvBlock * kKvBlock);
  float* out = a.out + head * a.head_dim;

  float most = -std::numeric_limits<float>::infinity();
  for (size_t p = a.first; p < a.positions; ++p) {
    const std::byte* k = a.blocks[p / kKvBlock].k;
    float acc = 0;
    for (size_t d = 0; d < a.head_dim; ++d) {
      acc = std::fma(q[d], LoadElement(k, d * kKvBlock + p % kKvBlock, a.f16), acc);
    }
    scores[p] = acc;
    most = std::max(most, acc);
  }
  float sums[kLanes] = {};
  std::fill_n(out, a.head_dim, 0.0f);
  for (size_t p = a.first; p < a.positions; ++p) {
    const float e = Exp(scores[p] - most);
    sums[p % kLanes] += e;
    const std::byte* v = a.blocks[p / kKvBlock].v;
    for (size_t d = 0; d < a.head_dim; ++d) {
      out[d] = std::fma(e, LoadElement(v, p % kKvBlock * a.head_dim + d, a.f16), out[d]);
    }
  }
  a.maximum[head] = most;
  a.sum[head] = FoldSums(sums);
}

void Attention(const AttentionArgs& a) {
  for (size_t head = 0; head < a.heads; ++head) AttendHead(a, head);
}

void AttentionMerge(float* maximum, float* sum, float* out, const float* maximum2,
                    const float* sum2, const float* out2, size_t dim) {
  const MergeFactors f = FactorsOfMerge(*maximum, *maximum2);
  *maximum = f.maximum;
  *sum = std::fma(*sum2, f.second, *sum * f.first);
  for (size_t d = 0; d < dim; ++d) out[d] = std::fma(out2[d], f.second, out[d] * f.first);
}

void StoreKv(std::byte* k_block, std::byte* v_block, size_t position, const float* k,
             const float* v, size_t head_dim, bool f16) {
  for (size_t d = 0; d < head_dim; ++d) {
    StoreElement(k_block, d * kKvBlock + position, k[d], f16);
    StoreElement(v_block, position * head_dim + d, v[d], f16);
  }
}

}  // namespace

const AttentionKernels kScalarAttention = {
    .attention = Attention, .attention_merge = AttentionMerge, .store_kv = StoreKv};

}  // namespace mach::kernels
