// Which targets Highway compiles our vector files for, and how their kernels reach a table. To be
// included first by every file that includes Highway.
#pragma once

// Each target costs seconds of compile time in each vector file. x86: every machine that is worth
// running Mach on has AVX2; older ones run the scalar table. arm64: NEON fixes the vector length,
// on which the lane count of our layouts rests.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// AVX-512 with VNNI (Ice Lake, Zen 4 and later); off by default in Highway.
#define HWY_WANT_AVX3_DL

#include "hwy/targets.h"
#include "kernels/table.h"

namespace mach::kernels {

// Each sets its kernels of table to those of table.isa and returns Highway's name of the target
// that they were compiled for; nullptr, and table as it was, when this binary has none for the ISA.
const char* FillMatmulI8(KernelTable& table);
const char* FillMatmulF32(KernelTable& table);
const char* FillVectorOps(KernelTable& table);
const char* FillAttention(KernelTable& table);
const char* FillDeltaRule(KernelTable& table);
inline constexpr size_t kVectorFamilies = 5;

// Byte dot products as matmul_i8 issues them on `isa`, on registers alone, `rounds` times; returns
// the products (multiply-accumulates) of all rounds, 0 when this binary has no such target.
// REQUIRES: isa is among AvailableIsas(). What a benchmark divides by.
uint64_t ProbeDotProducts(Isa isa, size_t rounds);

// What the Fill functions returned for `isa`: proof of what its table calls.
std::vector<std::string_view> CompiledTargets(Isa isa);

}  // namespace mach::kernels

// MACH_VECTOR_TARGET: whether the current target is one of ours (Highway's fallback is not).
#define MACH_VECTOR_TARGET ((HWY_TARGET & (HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL | HWY_NEON)) != 0)
